#include "plugins/browser.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cassert>

#include "plugins/web_url.h"

extern char** environ;

namespace corvid::plugins {

// It is not waited for: a browser may stay. What has ended is buried at the next time.
void open_in_browser(const std::string& url) {
  assert(parse_url(url));
  if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) return;
#ifdef __APPLE__
  const char* program = "open";
#else
  const char* program = "xdg-open";
#endif
  static pid_t last = -1;
  if (last > 0) waitpid(last, nullptr, WNOHANG);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  for (int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    posix_spawn_file_actions_addopen(&files, fd, "/dev/null", O_RDWR, 0);
  }
  posix_spawnattr_t how;
  posix_spawnattr_init(&how);
  posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSID);
  std::string name = program, argument = url;
  char* argv[] = {name.data(), argument.data(), nullptr};
  if (posix_spawnp(&last, program, &files, &how, argv, environ) != 0) last = -1;
  posix_spawnattr_destroy(&how);
  posix_spawn_file_actions_destroy(&files);
}

}  // namespace corvid::plugins
