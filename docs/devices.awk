# devices.awk - makes docs/devices.md: each chip, its source, what it was built from and what tests it.
#
#   awk -f docs/devices.awk hw/*.c hw/*/*.c tests/dev/*.[ch]     in the source's folder
#
# A chip is a file with a `static const struct chip`; its row is made from the file's first comment, the names in its
# struct chip, whether -device adds it (struct plug), and the tests that include its header, also by way of what tests
# share (*_env), or, where none does, use its name.

function base(path) { sub(/.*\//, "", path); return path }

FNR == 1 { head = 1; text = "" }

# Tests: which headers of hw/ they include, which of what they share, and which words they use.
FILENAME ~ /^tests\// {
    if (match($0, /#include "[^"]*"/)) {
        h = substr($0, RSTART + 10, RLENGTH - 11)
        users[h] = users[h] " " FILENAME
    }
    n = split($0, w, /[^A-Za-z0-9_.-]+/)
    for (i = 1; i <= n; i++) {
        sub(/_.*/, "", w[i])
        if (length(w[i]) > 2 && !((w[i], FILENAME) in said)) {
            said[w[i], FILENAME] = 1
            words[w[i]] = words[w[i]] " " FILENAME
        }
    }
    next
}

# The test programs among the files, and those behind the files that tests share.
function programs(files,    f, n, i, out) {
    n = split(files, f, " ")
    for (i = 1; i <= n; i++) {
        if (f[i] ~ /\/test_[^\/]*\.c$/)
            out = out " " base(f[i])
        else {
            sub(/\.c$/, ".h", f[i])
            if (!(f[i] in within)) {
                within[f[i]] = 1
                out = out programs(users[f[i]])
                delete within[f[i]]
            }
        }
    }
    return out
}

# The first comment: "name.c - what it is", up to the first empty line of it.
head && /^ \* ?$/ { head = 0 }
head && / \*\// { head = 0 }
head && /^ \*/ { line = $0; sub(/^ \* ?/, "", line); text = text (text ? " " : "") line }
head && /^\/\* .* \*\/$/ { head = 0 }
{ if (!(FILENAME in about) && !head) about[FILENAME] = text }

/^(static )?const struct chip [a-z0-9_]+ = \{/ { chip = 1 }
chip && match($0, /"[^"]+"/) {
    name = substr($0, RSTART + 1, RLENGTH - 2)
    names[FILENAME] = names[FILENAME] (names[FILENAME] ? ", " : "") "`" name "`"
    chip = 0
    if (!(FILENAME in order)) { order[FILENAME] = ++count; file[count] = FILENAME }
}
/^const struct plug [A-Za-z0-9_]+_plug = \{/ { plug = 1 }
plug && match($0, /"[^"]+"/) {
    d = substr($0, RSTART + 1, RLENGTH - 2)
    devices[FILENAME] = devices[FILENAME] (devices[FILENAME] ? ", " : "") "`" d "`"
    plugged[FILENAME] = plugged[FILENAME] " " d
    plug = 0
}

END {
    print "# Devices"
    print ""
    print "Made by `make devices` from the sources: each chip, what it was built from, and its tests. A device that"
    print "`-device` adds is named; the others are wired by the boards (`hw/pcbase.c`, `hw/board_*.c`)."
    print ""
    print "| source | chip | `-device` | what it is, and its sources | tests |"
    print "|---|---|---|---|---|"
    for (k = 1; k <= count; k++) {
        f = file[k]
        t = about[f]
        sub(/^[a-z0-9_]+\.c - /, "", t)
        h = f
        sub(/\.c$/, ".h", h)
        list = programs(users[h])
        n = split(plugged[f], p, " ")
        for (i = 1; i <= n; i++)
            list = list programs(words[p[i]])
        if (!list) {
            stem = base(f)
            sub(/\.c$/, "", stem)
            sub(/_.*/, "", stem)
            list = programs(words[stem])
        }
        m = split(list, l, " ")
        out = ""
        for (i = 1; i <= m; i++)
            if (!((l[i], f) in shown) && l[i] ~ /^test_/) {
                shown[l[i], f] = 1
                out = out (out ? " " : "") l[i]
            }
        gsub(/\|/, "\\|", t)
        printf "| `%s` | %s | %s | %s | %s |\n", f, names[f], devices[f], t, out ? out : "by what it is part of"
    }
}
