// `corvid doctor` and `corvid sandbox` on a machine that gives no namespaces: one says so, the
// other goes on with what there is.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <string>

#include "tests/scratch_folder.h"

namespace corvid::runtime {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class DoctorCommand : public testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directory(folder_ / "ws");
    run("true");
    if (status_ != 0) GTEST_SKIP() << "namespaces cannot be forbidden on this machine";
  }
  // A command where namespaces are forbidden, in the workspace.
  std::string run(const std::string& command) {
    const std::string line = "cd '" + (folder_ / "ws").string() +
                             "' && unshare --user --map-root-user --mount-proc --pid --fork sh -c '"
                             "for name in user mnt net pid ipc uts cgroup; do "
                             "echo 0 > /proc/sys/user/max_${name}_namespaces || exit; done; " +
                             command + "' 2>&1";
    FILE* pipe = popen(line.c_str(), "r");
    std::string out;
    std::array<char, 4096> buffer;
    while (std::size_t n = fread(buffer.data(), 1, buffer.size(), pipe)) {
      out.append(buffer.data(), n);
    }
    status_ = WEXITSTATUS(pclose(pipe));
    return out;
  }

  ScratchFolder folder_;
  int status_ = -1;
};

TEST_F(DoctorCommand, NamesWhatIsMissingAndWhatToDo) {
  EXPECT_THAT(run(CORVID_BINARY " doctor"),
              AllOf(HasSubstr("  NO   user namespace: "), HasSubstr("  NO   mount namespace: "),
                    HasSubstr("sysctl user.max_user_namespaces"),
                    HasSubstr("Commands run on the rungs that hold; the others are missing.\n")));
  EXPECT_EQ(status_, 1);
}

TEST_F(DoctorCommand, CommandsAreConfinedByWhatHolds) {
  if (run(CORVID_BINARY " doctor").find("  ok   landlock\n") == std::string::npos) {
    GTEST_SKIP() << "nothing else confines files on this machine";
  }
  const std::string write = " -- sh -c \"echo evil > ../file; echo fine\"";
  run(CORVID_BINARY " sandbox --sandbox off" + write);
  EXPECT_EQ(folder_.get("file"), "evil\n") << "no harm shown";
  folder_.put("file", "good\n");
  EXPECT_THAT(run(CORVID_BINARY " sandbox" + write),
              AllOf(HasSubstr("The sandbox is weaker than it should be; missing: user namespace, "),
                    HasSubstr("\nfine\n")));
  EXPECT_EQ(folder_.get("file"), "good\n");
}

}  // namespace
}  // namespace corvid::runtime
