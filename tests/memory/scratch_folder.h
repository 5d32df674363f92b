// The folder is the same for all rooms.
#pragma once

#include "tests/scratch_folder.h"
