#!/usr/bin/perl
# fatdisk.pl - write a disk image with a FAT12 file system (of a 1.44 MB floppy disk's form) that holds one file.
#
# usage: fatdisk.pl OUT NAME TEXT         NAME in upper case, of at most eight and three characters: STARTUP.NSH
use strict;
use warnings;

my ($out, $name, $text) = @ARGV;
my ($base, $ext) = $name =~ /^([^.]{1,8})\.([^.]{1,3})$/ or die "fatdisk.pl: $name: not a name like STARTUP.NSH\n";
my $clusters = int((length($text) + 511) / 512);
my @fat = (0xff0, 0xfff, map { $_ < $clusters ? $_ + 2 : 0xfff } 1 .. $clusters);
push @fat, 0 if @fat & 1;

my $boot = pack('C3a8vCvCvvCvvvVV', 0xeb, 0x3c, 0x90, 'LATIMER', 512, 1, 1, 2, 224, 2880, 0xf0, 9, 18, 2, 0, 0) .
    pack('CCCVa11a8', 0, 0, 0x29, 0x12345678, 'LATIMER    ', 'FAT12   ');
my $table = '';
for (my $i = 0; $i < @fat; $i += 2) {   # two entries in three bytes
    $table .= pack('CCC', $fat[$i] & 0xff, $fat[$i] >> 8 | ($fat[$i + 1] & 15) << 4, $fat[$i + 1] >> 4);
}
my $root = pack('A8A3C', $base, $ext, 0x20) . "\0" x 14 . pack('vV', 2, length $text);
open(my $f, '>:raw', $out) or die "fatdisk.pl: $out: $!\n";
print $f pack('a510', $boot), "\x55\xaa", pack('a4608', $table) x 2, pack('a7168', $root), $text;
truncate($f, 2880 * 512) or die "fatdisk.pl: $out: $!\n";
close($f) or die "fatdisk.pl: $out: $!\n";
