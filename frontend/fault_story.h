/*
 * fault_story.h - after a triple fault: what happened, in words.
 */
#ifndef FRONTEND_FAULT_STORY_H
#define FRONTEND_FAULT_STORY_H

#include <stdio.h>

struct cpu;

/* c->chain as the failed delivery left it: exceptions, instruction, page walk, likely cause. */
void fault_story(struct cpu *c, FILE *f);
/* The same of c->fault, which is to be delivered and was not yet. */
void fault_story_now(struct cpu *c, FILE *f);
/* Of a processor that runs: the exception it took last, if any; registers and page walk are those of now. */
void fault_story_last(struct cpu *c, FILE *f);
/* "#PF page fault"; "interrupt" for what is no exception. */
const char *fault_name(unsigned vector);

#endif
