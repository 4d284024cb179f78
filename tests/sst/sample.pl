#!/usr/bin/perl
# sample.pl - from a directory of MOO files: the sample in the source tree and the undefined flags.
#
#     perl sample.pl DIR N      writes 80286.moo.gz and undefined.def beside this script
#
# N tests of each opcode, spread evenly over its file but with every kind of exception it holds;
# each file's tests follow a FILE chunk with the opcode as its file's name says it.
use strict;
use warnings;
use FindBin;
use IO::Compress::Gzip qw($GzipError);
use IO::Uncompress::Gunzip qw(gunzip $GunzipError);
use JSON::PP;

my ($dir, $n) = @ARGV;
die "usage: sample.pl DIR N\n" unless $n;

sub chunks {
    my ($d) = @_;
    my @c;
    for (my $p = 0; $p < length $d;) {
        my ($type, $len) = unpack 'a4 V', substr $d, $p, 8;
        push @c, [$type, substr($d, $p + 8, $len)];
        $p += 8 + $len;
    }
    return @c;
}

sub chunk { return pack('a4 V', $_[0], length $_[1]) . $_[1]; }

# The exception of a test: "" or its vector (software interrupts: all one kind).
sub kind {
    for (chunks(substr $_[0], 4)) {
        next unless $_->[0] eq 'EXCP';
        my $vector = unpack 'C', $_->[1];
        return $vector < 16 ? $vector : 'int';
    }
    return '';
}

my $out = '';
for my $path (sort glob "$dir/*.MOO.gz") {
    my ($opcode) = $path =~ m{([0-9A-F]+(\.\d)?)\.MOO\.gz$} or die $path;
    gunzip($path => \my $data) or die "$path: $GunzipError";
    my ($head, @rest) = chunks($data);
    my @tests = grep { $_->[0] eq 'TEST' } @rest;
    my %kinds;
    push @{$kinds{kind($tests[$_][1])}}, $_ for 0 .. $#tests;
    my %take;
    for my $k (keys %kinds) {
        my $of = $kinds{$k};
        my $want = $k eq '' || keys %kinds == 1 ? $n : 3;
        $take{$of->[int($_ * @$of / $want)]} = 1 for 0 .. $want - 1;
    }
    $out .= chunk('MOO ', $head->[1]) . chunk('FILE', $opcode);
    $out .= chunk('RMSK', $_->[1]) for grep { $_->[0] eq 'RMSK' } @rest;
    for my $t (map { $tests[$_][1] } sort { $a <=> $b } keys %take) {
        my $kept = substr $t, 0, 4;
        $kept .= chunk(@$_) for grep { $_->[0] =~ /^(NAME|BYTS|INIT|FINA|EXCP)$/ } chunks(substr $t, 4);
        $out .= chunk('TEST', $kept);
    }
}
my $gz = IO::Compress::Gzip->new("$FindBin::Bin/80286.moo.gz", -Level => 9, -Minimal => 1) or die $GzipError;
$gz->print($out);
$gz->close;

open my $f, '<', "$dir/metadata.json" or die "$dir/metadata.json: $!";
my $ops = decode_json(join '', <$f>)->{opcodes};
my %mask;
for my $op (keys %$ops) {
    my $reg = $ops->{$op}{reg};
    $mask{$op} = $ops->{$op}{'flags-mask'} unless $reg;
    $mask{"$op.$_"} = $reg->{$_}{'flags-mask'} for $reg ? keys %$reg : ();
}
open my $def, '>', "$FindBin::Bin/undefined.def" or die $!;
print $def "/*\n * undefined.def - flags that an opcode of the 80286 leaves undefined.\n",
    " * Written by sample.pl from the tests' metadata.json.\n */\n";
for my $op (sort keys %mask) {
    printf $def "UNDEFINED(\"%s\", 0x%03x)\n", $op, ~$mask{$op} & 0xfff if defined $mask{$op} && ~$mask{$op} & 0xfff;
}
