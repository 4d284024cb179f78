# trace.awk - makes docs/trace.md of the table of events.
#
#   awk -f docs/trace.awk base/trace.def     in the source's folder

BEGIN {
    print "# Events of `-trace`"
    print ""
    print "This page is made by `make trace-docs` of `base/trace.def`, as `latimer -trace help` is. docs/debugging.md says how"
    print "events are switched, and what their lines look like."
}

/^\/\* ---- / {
    sub(/^\/\* ---- /, "")
    sub(/ ---- \*\/$/, "")
    print ""
    print "## " toupper(substr($0, 1, 1)) substr($0, 2)
    print ""
    print "| event | what it is |"
    print "|---|---|"
    next
}

/^EVENT\(/ { row = "" }
/^EVENT\(/, /"\)$/ {
    row = row $0
    if (!/"\)$/)
        next
    name = row
    sub(/^EVENT\(/, "", name)
    sub(/,.*/, "", name)
    sub(/"\)$/, "", row)
    sub(/.*"/, "", row)
    print "| `" name "` | " row " |"
}
