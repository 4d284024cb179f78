# monitor.awk - makes docs/monitor.md of the monitors' tables.
#
#   awk -f docs/monitor.awk debug/hmp.def debug/qmp.def     in the source's folder

function begin() {
    print "# Monitors"
    print ""
    print "A monitor shows a running machine and operates it. This page is made by `make monitor-docs` of the tables in"
    print "`debug/hmp.def` and `debug/qmp.def`, from which the commands themselves are made."
    print ""
    print "## Where they are"
    print ""
    print "- **On the terminal**: the first serial port is on `mon:stdio` unless something else is asked for, and shares the"
    print "  terminal with a monitor: Ctrl-A c goes from one to the other, Ctrl-A h lists what else there is."
    print "- `-monitor DEV`: one more, on `stdio` (the serial port then leaves the terminal to it; with `-nographic` they share"
    print "  it), `telnet:HOST:PORT,server,nowait`, `tcp:...` likewise, `unix:PATH,server,nowait`, `pty` or `chardev:ID`. Without"
    print "  HOST only this host can connect: who can reach a monitor can read and write files as you can."
    print "- `-mon chardev=ID,mode=readline|control`: on a `-chardev`. With `mux=on` up to four users share it."
    print "- `-qmp DEV` and `-qmp-pretty DEV`: QMP, for programs."
    print "- gdb's `monitor COMMAND`."
    print ""
    print "`-S` starts the machine stopped. Lines are edited as in a shell: cursor keys, Ctrl-A E K U W Y, Alt-B F D, the lines before by"
    print "Ctrl-P and Ctrl-N, or looked for by Ctrl-R; Tab completes commands, drives, networks, files, snapshots, keys, events, symbols and"
    print "registers. A line too long for 80 columns is shown around the cursor. Drives are named by their `id=`, or by"
    print "their place: `ide1-cd0`, `floppy0`; `info block` lists them. Expressions are C's, with `$rip` and other registers."
    print ""
    print "Commands that look at processors have them stand still for that moment, and the guest's time with them. Answers of"
    print "more than 4 MiB are cut; a client that does not read what it asked for is served no further until it does."
}

function strings(s,    n) {
    n = 0
    while (match(s, /"[^"]*"/)) {
        str[++n] = substr(s, RSTART + 1, RLENGTH - 2)
        s = substr(s, RSTART + RLENGTH)
    }
    return n
}

function cell(s) { gsub(/\|/, "\\|", s); return s }

function hmp_row(s, info,    n, i, w, other) {
    strings(s)
    n = split(str[1], w, " ")
    other = ""
    for (i = 2; i <= n; i++)
        other = other (other ? ", " : ", also ") "`" w[i] "`"
    printf "| `%s%s%s%s`%s | %s |\n", info ? "info " : "", w[1], str[3] ? " " : "", cell(str[3]), other, cell(str[4])
}

function qmp_row(s,    n, i, w, list, t) {
    strings(s)
    n = split(str[2], w, " ")
    list = ""
    for (i = 1; i <= n; i++) {
        t = w[i]
        sub(/:.*/, "", t)
        t = "`" t "`"
        if (w[i] ~ /\?$/)
            t = "[" t "]"
        list = list (list ? ", " : "") t
    }
    printf "| `%s` | %s |\n", str[1], list
}

BEGIN { begin() }

FNR == 1 && FILENAME ~ /hmp/ {
    print ""
    print "## Commands in lines"
    print ""
    print "| command | |"
    print "|---|---|"
}
FNR == 1 && FILENAME ~ /qmp/ {
    print ""
    print "## QMP"
    print ""
    print "JSON messages as the QMP specification has them, without out-of-band commands; names, arguments and answers are those"
    print "of QEMU 7.2's schema, and `query-version` and the greeting say 7.2.0, since that is what clients take the number for;"
    print "`package` says which Latimer it is. What is not in this table is answered by `CommandNotFound`. `screendump` writes PNG unless"
    print "the file's name or `format` says `ppm` or `txt`."
    print ""
    print "| command | arguments |"
    print "|---|---|"
}
/^(CMD|INFO|EVENT)\(/ { line = "" }
/^(CMD|INFO|EVENT)\(/, /\)$/ {
    line = line $0
    if ($0 !~ /\)$/)
        next
    if (FILENAME ~ /hmp/) {
        if (line ~ /^INFO/ && !info++) {
            print ""
            print "| `info` | |"
            print "|---|---|"
        }
        hmp_row(line, line ~ /^INFO/)
    } else if (line ~ /^CMD/) {
        qmp_row(line)
    } else {
        strings(line)
        split(line, w, ", *")
        ms = w[3] + 0
        events = events (events ? ", " : "") "`" str[1] "`" (ms ? " (at most one in " ms / 1000 " s)" : "")
    }
}
END {
    print ""
    print "Events: " events "."
    print ""
    print "The events are as in QEMU; `RESET` comes when a reset has been asked for. A guest that switches a machine off that"
    print "`-no-shutdown` keeps leaves it in state `shutdown`: after `system_reset` it can be run again."
}
