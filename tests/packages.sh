#!/usr/bin/env bash
# Installs the Debian packages that building, testing or training needs and that are missing.
#   tests/packages.sh build|test|all|train
set -euo pipefail

build=(g++ cmake ninja-build pkg-config libboost1.81-dev nlohmann-json3-dev libsqlitecpp-dev
       libsqlite3-dev libcurl4-openssl-dev liblua5.4-dev libcli11-dev libtomlplusplus-dev
       libvalijson-dev libseccomp-dev libedit-dev libxxhash-dev libpcre2-dev
       libvulkan-dev glslc)
test=(libgtest-dev libgmock-dev git python3 python3-numpy tmux
      mesa-vulkan-drivers vulkan-validationlayers spirv-cross spirv-tools)
all=(clang libclang-rt-14-dev clang-format libbenchmark-dev g++-aarch64-linux-gnu qemu-user)
train=(python3 python3-numpy python3-torch libopenblas0-pthread)

case "${1:-build}" in
  build) want=("${build[@]}") ;;
  test) want=("${build[@]}" "${test[@]}") ;;
  all) want=("${build[@]}" "${test[@]}" "${all[@]}") ;;
  train) want=("${train[@]}") ;;
  *) echo "usage: $0 build|test|all|train" >&2; exit 2 ;;
esac

if ! command -v dpkg-query >/dev/null; then
  echo "This is not Debian: please see to it that the counterparts of these are installed:" >&2
  echo "  ${want[*]}" >&2
  exit 0
fi

missing=()
for package in "${want[@]}"; do
  [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
    missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || {
    echo "Missing packages: ${missing[*]}" >&2
    echo "Install them as root: apt-get install ${missing[*]}" >&2
    exit 1
  }
  as_root=(sudo)
fi
echo "Installing: ${missing[*]}" >&2
apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o Acquire::Retries=3
     -o DPkg::Lock::Timeout=120)
"${apt[@]}" update >&2
"${apt[@]}" install -y --no-install-recommends "${missing[@]}" </dev/null >&2
