#!/usr/bin/perl
# fatdisk.pl - write a disk image of 64 MiB, without partitions, with a FAT16 file system that holds some files.
#
# usage: fatdisk.pl OUT NAME=TEXT... NAME@FILE...        NAME in upper case, like STARTUP.NSH
use strict;
use warnings;

my $out = shift or die "usage: fatdisk.pl OUT NAME=TEXT... NAME\@FILE...\n";
my ($cluster, $sectors, $fat_sectors, $roots) = (16 * 512, 131072, 32, 512);
my ($root, $data, @fat) = ('', '', 0xfff8, 0xffff);
for (@ARGV) {
    my ($base, $ext, $how, $text) = /^([^.]{1,8})\.([^.=@]{1,3})([=@])(.*)$/s or
        die "fatdisk.pl: $_: not NAME.EXT=TEXT\n";
    if ($how eq '@') {
        open(my $in, '<:raw', $text) or die "fatdisk.pl: $text: $!\n";
        local $/;
        $text = <$in>;
    }
    $root .= pack('A8A3C', $base, $ext, 0x20) . "\0" x 14 . pack('vV', scalar @fat, length $text);
    my $n = int((length($text) + $cluster - 1) / $cluster);
    push @fat, map({ @fat + $_ } 1 .. $n - 1), 0xffff;
    $data .= $text . "\0" x ($n * $cluster - length $text);
}
my $boot = pack('C3a8vCvCvvCvvvVV', 0xeb, 0x3c, 0x90, 'LATIMER', 512, $cluster / 512, 1, 2, $roots, 0, 0xf8,
                $fat_sectors, 63, 16, 0, $sectors) .
    pack('CCCVa11a8', 0x80, 0, 0x29, 0x12345678, 'LATIMER    ', 'FAT16   ');
open(my $f, '>:raw', $out) or die "fatdisk.pl: $out: $!\n";
print $f pack('a510', $boot), "\x55\xaa", pack('a' . 512 * $fat_sectors, pack('v*', @fat)) x 2,
    pack('a' . 32 * $roots, $root), $data;
truncate($f, 512 * $sectors) or die "fatdisk.pl: $out: $!\n";
close($f) or die "fatdisk.pl: $out: $!\n";
