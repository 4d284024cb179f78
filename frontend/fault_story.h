/*
 * fault_story.h - after a triple fault: what happened, in words.
 */
#ifndef FRONTEND_FAULT_STORY_H
#define FRONTEND_FAULT_STORY_H

#include <stdio.h>

struct cpu;

/* c->chain as the failed delivery left it: exceptions, instruction, page walk, likely cause. */
void fault_story(struct cpu *c, FILE *f);

#endif
