#!/usr/bin/perl
# crash.pl - what Latimer says when its translated code crashes.
#
# usage: crash.pl LATIMER KERNEL      KERNEL: a guest that runs in a loop for ever
#
# A crash is made by a SIGSEGV that is sent to the vCPU's thread while that runs: the thread that has used
# CPU time.  Prints Latimer's report, ends with its exit code.
use strict;
use warnings;
use POSIX ':sys_wait_h';

use constant { SYS_TGKILL => 234, SIGSEGV => 11, TICKS => 20 };     # Linux on x86-64

my ($latimer, $kernel) = @ARGV;
my $pid = fork // die "crash.pl: fork: $!\n";
if (!$pid) {
    open(STDIN, '<', '/dev/null');
    exec($latimer, '-serial', 'none', '-kernel', $kernel) or die "crash.pl: $latimer: $!\n";
}

sub ticks {     # CPU time of a thread
    my ($task) = @_;
    open(my $f, '<', "$task/stat") or return 0;
    my @field = split ' ', (<$f> =~ s/.*\)//r);
    return $field[11] + $field[12];
}

my $victim;
while (!$victim) {
    die "crash.pl: $latimer ended by itself\n" if waitpid($pid, WNOHANG) == $pid;
    ($victim) = grep { ticks($_) >= TICKS } grep { !m{/$pid$} } glob "/proc/$pid/task/*";
    select(undef, undef, undef, 0.02);
}
if ($victim) {
    my ($tid) = $victim =~ m{(\d+)$};
    syscall(SYS_TGKILL, $pid, $tid + 0, SIGSEGV);
}
waitpid($pid, 0);
exit($? & 127 ? 255 : $? >> 8);
