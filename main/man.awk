# man.awk - the manual page: latimer.1.in with @OPTIONS@, @EXITS@, @IMAGE@ and @VERSION@ filled in.
# Arguments: latimer.1.in options.def exits.def image.def, in this order; -v version=.

# The strings of a table row, joined as C does: out[1..n], n returned.
function strings(row, out,    n, joined, gap) {
    n = 0
    while (match(row, /"[^"]*"/)) {
        gap = substr(row, 1, RSTART - 1)
        if (n && gap !~ /,/)
            out[n] = out[n] substr(row, RSTART + 1, RLENGTH - 2)
        else {
            if (gap ~ /NULL/)
                out[++n] = ""
            out[++n] = substr(row, RSTART + 1, RLENGTH - 2)
        }
        row = substr(row, RSTART + RLENGTH)
    }
    return n
}
function escape(s) {
    gsub(/-/, "\\-", s)
    return s
}
function add_row(row,    s, names, k, i, line) {
    k = strings(row, s)
    if (row ~ /^SECTION/) {
        options = options ".SS " s[1] "\n"
    } else if (row ~ /^OPT/) {
        names = split(s[1], word, " ")
        line = ""
        for (i = 1; i <= names; i++)
            line = line (i > 1 ? ", " : "") "\\fB\\-" escape(word[i]) "\\fR"
        options = options ".TP\n" line (s[2] != "" ? " \\fI" escape(s[2]) "\\fR" : "") "\n" escape(s[3]) "\n"
    } else if (row ~ /^COMMAND/) {
        match(row, /[a-z]+,/)
        commands = commands ".TP\n.B latimer image " substr(row, RSTART, RLENGTH - 1) " \\fI" escape(s[1]) "\\fR\n" escape(s[2]) "\n"
    } else if (row ~ /^ARG/) {
        names = split(s[2], word, " ")
        line = ""
        for (i = 1; i <= names; i++)
            line = line (i > 1 ? ", " : "") "\\fB" (length(word[i]) > 1 ? "\\-\\-" : "\\-") escape(word[i]) "\\fR"
        arguments = arguments ".TP\n" line (s[3] != "" ? " \\fI" escape(s[3]) "\\fR" : "") " (" s[1] ")\n" escape(s[4]) "\n"
    } else if (row ~ /^CODE/) {
        codes = codes ".TP\n.B " escape(s[1]) "\n" escape(s[2]) "\n"
    } else if (row ~ /^EXIT/) {
        exits = exits ".TP\n.B " escape(s[1]) "\n" escape(s[2]) "\n"
    }
}
FNR == 1 { file++; row = "" }
file == 1 { page[++lines] = $0; next }
/^(SECTION|OPT|EXIT|COMMAND|ARG|CODE)\(/ { row = "" }
/^(SECTION|OPT|EXIT|COMMAND|ARG|CODE)\(/ || row != "" {
    row = row $0
    if (/\)$/) {
        add_row(row)
        row = ""
    }
}
END {
    for (i = 1; i <= lines; i++) {
        if (page[i] == "@OPTIONS@")
            printf "%s", options
        else if (page[i] == "@EXITS@")
            printf "%s", exits
        else if (page[i] == "@IMAGE@")
            printf "%s.SS Options of these commands\n%s.SS Exit status of these commands\n%s", commands, arguments, codes
        else {
            gsub(/@VERSION@/, version, page[i])
            print page[i]
        }
    }
}
