#!/usr/bin/perl
# mkcpio.pl - write an initramfs (newc cpio; Documentation/driver-api/early-userspace in Linux) without root.
#
# usage: mkcpio.pl OUT SPEC...
#   dir PATH            file PATH SOURCE MODE      link PATH TARGET      node PATH MAJOR MINOR
#   tree SOURCE         everything below the folder SOURCE
# each SPEC is one argument; paths are without the leading slash.  Owner root, times 0: the same input
# gives the same bytes.
use strict;
use warnings;

my ($out, @specs) = @ARGV;
die "usage: mkcpio.pl OUT SPEC...\n" unless @specs;
open(my $f, '>:raw', $out) or die "mkcpio.pl: $out: $!\n";
my ($at, $ino) = (0, 0);

sub put { my ($bytes) = @_; print $f $bytes; $at += length $bytes; }
sub pad { put("\0" x (-$at % 4)); }

sub entry {
    my ($name, $mode, $data, $major, $minor) = @_;
    my $links = ($mode & 0170000) == 0040000 ? 2 : 1;
    put('070701' . join('', map { sprintf '%08X', $_ }
        ++$ino, $mode, 0, 0, $links, 0, length $data, 0, 0, $major, $minor, 1 + length $name, 0));
    put("$name\0"); pad();
    put($data); pad();
}

sub contents {
    my ($path) = @_;
    open(my $in, '<:raw', $path) or die "mkcpio.pl: $path: $!\n";
    local $/;
    return scalar(<$in>) // '';
}

sub tree {
    my ($top, $below) = @_;
    opendir(my $d, "$top/$below") or die "mkcpio.pl: $top/$below: $!\n";
    for my $name (sort grep { !/^\.\.?$/ } readdir $d) {
        my $path = "$below$name";
        my $from = "$top/$path";
        if (-l $from) {
            entry($path, 0120777, readlink $from, 0, 0);
        } elsif (-d $from) {
            entry($path, 0040755, '', 0, 0);
            tree($top, "$path/");
        } else {
            entry($path, 0100000 | (stat $from)[2] & 0777, contents($from), 0, 0);
        }
    }
}

for (@specs) {
    my ($kind, $path, @arg) = split ' ';
    if ($kind eq 'dir') {
        entry($path, 0040755, '', 0, 0);
    } elsif ($kind eq 'link') {
        entry($path, 0120777, $arg[0], 0, 0);
    } elsif ($kind eq 'node') {
        entry($path, 0020600, '', @arg);
    } elsif ($kind eq 'file') {
        entry($path, 0100000 | oct $arg[1], contents($arg[0]), 0, 0);
    } elsif ($kind eq 'tree') {
        tree($path, '');
    } else {
        die "mkcpio.pl: $_: not a dir, file, link, node or tree\n";
    }
}
entry('TRAILER!!!', 0, '', 0, 0);
put("\0" x (-$at % 512));
close($f) or die "mkcpio.pl: $out: $!\n";
