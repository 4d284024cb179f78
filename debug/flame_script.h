/*
 * flame_script.h - what makes a flame graph's picture interactive: a click on a frame zooms in, one on the bottom out,
 * Ctrl-F or the word "search" asks for an expression, whose frames are coloured and added up. In JavaScript, as a string:
 * no '//' and no regular expressions between slashes, since C's preprocessor reads it first.
 */
#ifndef DEBUG_FLAME_SCRIPT_H
#define DEBUG_FLAME_SCRIPT_H

#define FLAME_TEXT_OF(...) #__VA_ARGS__
static const char flame_script[] = FLAME_TEXT_OF(
    var svg = document.documentElement;
    var frames = Array.prototype.slice.call(document.getElementsByClassName("f"));
    var details = document.getElementById("details");
    var matched = document.getElementById("matched");
    var box = { x: +svg.getAttribute("data-x"), w: +svg.getAttribute("data-w") };
    var found = null;

    function part(g, tag) { return g.getElementsByTagName(tag)[0]; }
    function title(g) { return part(g, "title").textContent; }
    function name(g) { var t = title(g); return t.substring(0, t.lastIndexOf(" (")); }

    frames.forEach(function (g) {
        var r = part(g, "rect");
        g.at = { x: +r.getAttribute("x"), w: +r.getAttribute("width"), y: +r.getAttribute("y") };
        g.colour = r.getAttribute("fill");
        g.onmouseover = function () { details.textContent = title(g); };
        g.onmouseout = function () { details.textContent = " "; };
        g.onclick = function () { zoom(g); };
    });

    function place(g, x, w, dim) {
        var r = part(g, "rect");
        var t = part(g, "text");
        var n = Math.floor((w - 6) / 7);
        var s = name(g);
        g.style.display = w < 0.2 ? "none" : "";
        g.style.opacity = dim ? 0.5 : 1;
        r.setAttribute("x", x);
        r.setAttribute("width", w);
        t.setAttribute("x", x + 3);
        t.textContent = n < 3 ? "" : s.length <= n ? s : s.substring(0, n - 2) + "..";
    }

    function zoom(to) {
        var scale = box.w / to.at.w;
        frames.forEach(function (g) {
            var inside = g.at.x >= to.at.x - 0.001 && g.at.x + g.at.w <= to.at.x + to.at.w + 0.001;
            var around = g.at.x <= to.at.x + 0.001 && g.at.x + g.at.w >= to.at.x + to.at.w - 0.001;
            if (around && g.at.y > to.at.y)
                place(g, box.x, box.w, true);
            else if (inside && g.at.y <= to.at.y)
                place(g, box.x + (g.at.x - to.at.x) * scale, g.at.w * scale, false);
            else
                g.style.display = "none";
        });
    }

    function search() {
        var word = prompt("Functions that match this regular expression:", found || "");
        if (word === null)
            return;
        var re = null;
        try {
            re = word ? new RegExp(word) : null;
        } catch (e) {
            alert(e.message);
            return;
        }
        found = word;
        var hits = [];
        frames.forEach(function (g) {
            var hit = re && re.test(name(g));
            part(g, "rect").setAttribute("fill", hit ? "#e040e0" : g.colour);
            if (hit)
                hits.push(g.at);
        });
        hits.sort(function (a, b) { return a.x - b.x || b.w - a.w; });
        var end = -1;
        var sum = 0;
        hits.forEach(function (h) {
            if (h.x >= end - 0.001) {
                sum += h.w;
                end = h.x + h.w;
            }
        });
        matched.textContent = re ? "matched: " + (100 * sum / box.w).toFixed(1) + " %" : "search";
    }

    matched.onclick = search;
    window.addEventListener("keydown", function (e) {
        if (e.keyCode === 114 || (e.ctrlKey && e.keyCode === 70)) {
            e.preventDefault();
            search();
        }
    });
);
#undef FLAME_TEXT_OF

#endif
