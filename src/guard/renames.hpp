// Names that this transaction took away, judged at its end.
#pragma once
#include "pg/postgres.hpp"

namespace safe_migrate::guard {

// May raise SM001: names that are not there any more and that clients use.
void judge_renames();

// At the end of a subtransaction: its parent has them, or with InvalidSubTransactionId nobody.
void reassign_renames(SubTransactionId own, SubTransactionId parent);
void forget_renames();

} // namespace safe_migrate::guard
