#!/usr/bin/perl
# bench.pl - Latimer against Debian's qemu-system-x86_64 (TCG), where that is installed.
#
# usage: bench.pl [-n ROUNDS] [WORKLOAD...]          LATIMER: the program to measure
#
# Both boot the same kernel and initramfs with the same memory, in turn, and run the workloads of
# bench/init, unmodified busybox programs.  Measured is the CPU time (user and system) of the emulator's
# process between the markers the guest writes to its serial port; medians of the rounds.  The results
# the guest prints must agree.  "boot" is from the start to the shell; "rss" is peak resident memory.
use strict;
use warnings;
use File::Basename;
use List::Util qw(max);
use Time::HiRes qw(time);

my $here = dirname($0);
my $rounds = 3;
if (@ARGV && $ARGV[0] eq '-n') { shift; $rounds = shift; }
my @names = @ARGV ? @ARGV : qw(sha256 md5 gzip sort awk shell fork grep);
my $guest = "$here/../tests/boot/guest.sh";
my $tick = `getconf CLK_TCK` + 0;

chomp(my $kernel = `sh $guest kernel amd64`);
chomp(my $initramfs = `BOOT_INIT=$here/init sh $guest initramfs amd64`);
die "bench.pl: no guest\n" unless -e $kernel && -e $initramfs;
my $latimer = $ENV{LATIMER} || "$here/../latimer";
my %command = (latimer => [$latimer], qemu => [qw(qemu-system-x86_64 -accel tcg -cpu max)]);
my @who = ('latimer');
push @who, 'qemu' if system('command -v qemu-system-x86_64 >/dev/null') == 0;

sub cpu {       # seconds, user and system
    my ($pid) = @_;
    open(my $f, '<', "/proc/$pid/stat") or return 0;
    my @s = split ' ', (<$f> =~ s/.*\)//r);
    return ($s[11] + $s[12]) / $tick;
}
sub peak {      # MiB
    my ($pid) = @_;
    open(my $f, '<', "/proc/$pid/status") or return 0;
    for (<$f>) { return $1 / 1024 if /^VmHWM:\s*(\d+)/; }
    return 0;
}

# One start: { boot => seconds, NAME => seconds, rss => MiB, "NAME sum" => what the guest printed }
sub run {
    my ($who) = @_;
    my @argv = (@{$command{$who}}, qw(-m 512 -nographic -no-reboot -kernel), $kernel, '-initrd', $initramfs,
                '-append', 'console=ttyS0 quiet panic=-1 bench=' . join(',', @names));
    my $pid = open(my $out, '-|') // die "bench.pl: fork: $!\n";
    if (!$pid) {
        open(STDIN, '<', '/dev/null');
        exec(@argv) or die "bench.pl: $argv[0]: $!\n";
    }
    my (%r, $started);
    while (my $line = <$out>) {
        if ($line =~ /^\@READY/) {
            $r{boot} = cpu($pid);
        } elsif ($line =~ /^\@BEGIN/) {
            $started = cpu($pid);
        } elsif ($line =~ /^\@END (\S+) (\S+)/) {
            $r{$1} = cpu($pid) - $started;
            $r{"$1 sum"} = $2;
            $r{rss} = peak($pid);
        }
    }
    close($out);
    return \%r;
}

sub median { my @v = sort { $a <=> $b } grep { defined } @_; return @v ? $v[@v / 2] : undef; }

my %all;
for my $round (1 .. $rounds) {
    for my $who ($round % 2 ? @who : reverse @who) {
        print STDERR "bench.pl: round $round, $who\n";
        my $r = run($who);
        push @{$all{$who}{$_}}, $r->{$_} for keys %$r;
    }
}
printf "%-10s", 'CPU s';
printf " %10s", $_ for @who;
printf " %14s", 'latimer/qemu' if @who > 1;
print "\n";
my ($log, $count, $bad) = (0, 0, 0);
for my $name ('boot', @names, 'rss') {
    my %m = map { $_ => median(@{$all{$_}{$name} || []}) } @who;
    my %sums = map { $_ => 1 } map { @{$all{$_}{"$name sum"} || []} } @who;
    printf "%-10s", $name;
    printf " %10s", defined $m{$_} ? sprintf('%.2f', $m{$_}) : '-' for @who;
    if (@who > 1 && defined $m{latimer} && $m{qemu}) {
        printf " %14.2f", $m{latimer} / $m{qemu};
        if ($name ne 'rss' && $m{latimer} > 0) { $log += log($m{latimer} / $m{qemu}); $count++; }
    }
    if (keys %sums > 1 || !defined $m{latimer}) { print '  WRONG RESULT'; $bad = 1; }
    print "\n";
}
printf "geometric mean, latimer/qemu: %.2f\n", exp($log / $count) if $count;
print "qemu-system-x86_64 is not installed: nothing to compare with\n" if @who == 1;
exit $bad;
