/*
 * features.h - choosing among the host's optional features (struct backend_feature) by name.
 */
#ifndef TRANSLATOR_FEATURES_H
#define TRANSLATOR_FEATURES_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/*
 * One word of a list: +NAME, -NAME, all (the host has) or none.  *without: the set of those not to be used.
 * False: it cannot be done, `why` says why (usage: the word is no feature; else the host lacks it).
 */
bool features_word(const char *word, uint64_t *without, bool *usage, char *why, size_t size);
/* A whole list, with commas. */
bool features_list(const char *list, uint64_t *without, bool *usage, char *why, size_t size);
/* What there is, one a line, with what it is used for and whether this host has it. */
void features_print(FILE *f);
/* The names of a set, with a blank in front of each; "none" if it is empty. */
void features_names(uint64_t set, char *out, size_t size);

#endif
