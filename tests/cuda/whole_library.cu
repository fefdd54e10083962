#include <emend/emend.hpp>
