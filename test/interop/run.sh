#!/bin/sh
# Builds the C++ peer and runs the tests with it. Where it can't be built they are skipped, and the
# reason is printed. Arguments go to vitest.
set -eu
cd "$(dirname "$0")/../.."

skip() {
  echo "interop tests skipped: $1"
  exit 0
}

for tool in make g++ protoc; do
  command -v "$tool" >/dev/null || skip "there is no $tool"
done
for header in google/protobuf/message.h boost/archive/text_oarchive.hpp; do
  echo "#include <$header>" | g++ -E -x c++ - >/dev/null 2>&1 || skip "there is no <$header>"
done

make --no-print-directory -s -j2 -C test/interop/cpp
exec npx vitest run --config vitest.interop.config.ts "$@"
