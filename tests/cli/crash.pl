#!/usr/bin/perl
# crash.pl - what Latimer says when its translated code crashes.
#
# usage: crash.pl HOW LATIMER ARG...       ARG...: for a guest that runs in a loop for ever
#
# HOW: SEGV, BUS, ILL: that signal is sent to the vCPU's thread, the one that has used CPU time.
#      truncate: the host takes away guest memory from 4 MiB on, as one without memory would: a SIGBUS
#      truncate-all: all of it
# Prints Latimer's report, ends with its exit code.
use strict;
use warnings;
use POSIX ':sys_wait_h';

use constant TICKS => 40;       # hundredths of a second, on most hosts: started and well in its loop
my %tgkill = (x86_64 => 234, aarch64 => 131);   # Linux
my %number = (ILL => 4, BUS => 7, SEGV => 11);

my ($how, $latimer, @arg) = @ARGV;
my $tgkill = $tgkill{(POSIX::uname())[4]} or die "crash.pl: tgkill() has an unknown number here\n";
my $pid = fork // die "crash.pl: fork: $!\n";
if (!$pid) {
    open(STDIN, '<', '/dev/null');
    exec($latimer, '-serial', 'none', @arg) or die "crash.pl: $latimer: $!\n";
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
if (my ($all) = $how =~ /^truncate(-all)?$/ ? $1 // '' : ()) {
    my ($ram) = grep { (readlink($_) // '') =~ /guest-ram/ } glob "/proc/$pid/fd/*";
    my $f;
    if (!$ram || !open($f, '+<', $ram) || !truncate($f, $all ? 0 : 4 << 20)) {
        kill('KILL', $pid);
        die "crash.pl: cannot truncate guest memory: $!\n";
    }
} else {
    my ($tid) = $victim =~ m{(\d+)$};
    syscall($tgkill, $pid, $tid + 0, $number{$how} // die "crash.pl: unknown $how\n");
}
waitpid($pid, 0);
exit($? & 127 ? 255 : $? >> 8);
