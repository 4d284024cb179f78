#!/usr/bin/perl
# bootdisk.pl - write a disk image whose boot sector, run by a BIOS, reads a sector from the disk and writes its
# text to COM1.
#
# usage: bootdisk.pl OUT LBA TEXT
use strict;
use warnings;

my ($out, $lba, $text) = @ARGV;
my $code = pack('C*',
    0xfa,                       # cli
    0x31, 0xc0,                 # xor ax, ax
    0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0,         # mov ds/es/ss, ax
    0xbc, 0x00, 0x7c,           # mov sp, 7c00h
    0xfb,                       # sti
    0xb4, 0x42,                 # mov ah, 42h
    0xbe, 0x80, 0x7c,           # mov si, 7c80h: the packet
    0xcd, 0x13,                 # int 13h: read, with dl as it came
    0x72, 0xfe,                 # jc $
    0xbe, 0x00, 0x7e,           # mov si, 7e00h
    0xac,                       # next: lodsb
    0x84, 0xc0,                 # test al, al
    0x74, 0x11,                 # jz end
    0x88, 0xc4,                 # mov ah, al
    0xba, 0xfd, 0x03,           # mov dx, 3fdh
    0xec,                       # wait: in al, dx
    0xa8, 0x20,                 # test al, 20h
    0x74, 0xfb,                 # jz wait
    0x88, 0xe0,                 # mov al, ah
    0xb2, 0xf8,                 # mov dl, f8h
    0xee,                       # out dx, al
    0xeb, 0xea,                 # jmp next
    0xf4,                       # end: hlt
    0xeb, 0xfd);                # jmp end
my $packet = pack('CCvvvQ<', 16, 0, 1, 0x7e00, 0, $lba);
my $sector = $code . "\0" x (0x80 - length $code) . $packet;
$sector .= "\0" x (510 - length $sector) . "\x55\xaa";
open(my $f, '>:raw', $out) or die "bootdisk.pl: $out: $!\n";
print $f $sector, "\0" x (512 * ($lba - 1)), pack('a512', "$text\r\n"), "\0" x (1 << 20);
close($f) or die "bootdisk.pl: $out: $!\n";
