/*
 * features.c - see features.h.  What features there are is the backend's to say.
 */
#include "translator/features.h"

#include <string.h>

#include "base/nearest.h"
#include "translator/backend.h"

bool features_word(const char *word, uint64_t *without, bool *usage, char *why, size_t size)
{
    bool on = *word == '+';
    struct nearest near;

    *usage = true;
    if (strcmp(word, "all") == 0 || strcmp(word, "none") == 0) {
        *without = *word == 'a' ? 0 : ~(uint64_t)0;
        return true;
    }
    if (!on && *word != '-') {
        snprintf(why, size, "'%s': use +NAME or -NAME, all or none (-accel help lists the names)", word);
        return false;
    }
    nearest_init(&near, ++word, on ? "+" : "-");
    for (unsigned n = 0; n < backend_nfeatures; n++) {
        uint64_t bit = (uint64_t)1 << n;

        if (strcmp(word, backend_features[n].name)) {
            nearest_try(&near, backend_features[n].name, strlen(backend_features[n].name));
            continue;
        }
        if (on && !(backend_host_features() & bit)) {
            *usage = false;
            snprintf(why, size, "this host's processor lacks '%s': leave it out (-accel help lists what it has)", word);
            return false;
        }
        *without = on ? *without & ~bit : *without | bit;
        return true;
    }
    if (near.list[0])
        snprintf(why, size, "unknown host feature '%s': did you mean %s? (-accel help lists all)", word, near.list);
    else
        snprintf(why, size, "unknown host feature '%s'; -accel help lists what there is", word);
    return false;
}

bool features_list(const char *list, uint64_t *without, bool *usage, char *why, size_t size)
{
    char word[64];

    for (size_t n; *list; list += n + (list[n] == ',')) {
        n = strcspn(list, ",");
        snprintf(word, sizeof(word), "%.*s", (int)n, list);
        if (!features_word(word, without, usage, why, size))
            return false;
    }
    return true;
}

void features_print(FILE *f)
{
    uint64_t host = backend_host_features();

    for (unsigned n = 0; n < backend_nfeatures; n++)
        fprintf(f, "  %-8s %-4s %s\n", backend_features[n].name, host >> n & 1 ? "yes" : "no", backend_features[n].use);
}

void features_names(uint64_t set, char *out, size_t size)
{
    size_t at = 0;

    snprintf(out, size, " none");
    for (unsigned n = 0; n < backend_nfeatures && at < size; n++)
        if (set >> n & 1)
            at += (size_t)snprintf(out + at, size - at, " %s", backend_features[n].name);
}
