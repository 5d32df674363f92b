#include "model/files/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "model/error.h"

namespace corvid::model {

MappedFile::MappedFile(const std::filesystem::path& path) {
  // O_NONBLOCK: opening a FIFO must not hang.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) throw ModelError("cannot open " + path.string() + ": " + std::strerror(errno));
  struct stat info {};
  std::string problem;
  void* address = MAP_FAILED;
  if (::fstat(fd, &info) != 0) {
    problem = std::strerror(errno);
  } else if (!S_ISREG(info.st_mode)) {
    problem = "it is not a regular file";
  } else if (info.st_size == 0) {
    problem = "it is empty";
  } else {
    address = ::mmap(nullptr, info.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (address == MAP_FAILED) problem = std::strerror(errno);
  }
  ::close(fd);
  if (!problem.empty()) throw ModelError("cannot read " + path.string() + ": " + problem);
  bytes_ = {static_cast<const std::byte*>(address), static_cast<std::size_t>(info.st_size)};
}

MappedFile::~MappedFile() {
  ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

void MappedFile::let_go(std::span<const std::byte> part) const {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const std::size_t begin = (part.data() - bytes_.data() + page - 1) / page * page;
  const std::size_t end = (part.data() - bytes_.data() + part.size()) / page * page;
  if (begin >= end) return;
  ::madvise(const_cast<std::byte*>(bytes_.data()) + begin, end - begin, MADV_DONTNEED);
}

}  // namespace corvid::model
