/* replay.c - gives a fuzz target the inputs that the tree keeps, without libFuzzer: TAP, a line for
 * each. Arguments: files, and folders of files. A target that does not hold ends the program; which
 * input it was stands on the last line.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/stat.h>

#include <dirent.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

enum { INPUT_MAX = 1 << 20 };

static int count;

static int give(const char *path)
{
    FILE *file = fopen(path, "rb");
    unsigned char *data = malloc(INPUT_MAX);
    if (file == NULL || data == NULL) {
        printf("not ok %d - %s: cannot be read\n", ++count, path);
        exit(1);
    }
    size_t len = fread(data, 1, INPUT_MAX, file);
    fclose(file);
    unsigned char *tight = malloc(len > 0 ? len : 1); /* a byte too far is seen */
    if (tight == NULL)
        exit(1);
    memcpy(tight, data, len);
    free(data);
    printf("# %s\n", path);
    fflush(stdout);
    LLVMFuzzerTestOneInput(tight, len);
    free(tight);
    printf("ok %d - %s\n", ++count, path);
    return 0;
}

static int visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int give_all(const char *folder)
{
    struct dirent **entries = NULL;
    int n = scandir(folder, &entries, visible, alphasort);
    for (int i = 0; i < n; i++) {
        char path[1024];
        snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name);
        give(path);
        free(entries[i]);
    }
    free(entries);
    return n > 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    int failed = argc < 2;
    for (int i = 1; i < argc; i++) {
        struct stat st;
        if (stat(argv[i], &st) != 0)
            return 1;
        failed |= S_ISDIR(st.st_mode) ? give_all(argv[i]) : give(argv[i]);
    }
    printf("1..%d\n", count);
    return failed;
}
