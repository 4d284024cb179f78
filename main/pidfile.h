/* pidfile.h - -pidfile: a file with the process's number, for those who start and stop Latimer. */
#ifndef MAIN_PIDFILE_H
#define MAIN_PIDFILE_H

/*
 * Writes it, and keeps it locked as long as the process lives. Dies with EXIT_CODE_FILE where that cannot be, so that
 * two machines do not share one. It is removed when the process exits. path NULL: nothing.
 */
void pidfile_write(const char *path);
/* Before _exit(), which does not do it. */
void pidfile_remove(void);

#endif
