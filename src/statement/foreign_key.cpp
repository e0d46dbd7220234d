// See foreign_key.hpp.
#include "statement/foreign_key.hpp"

extern "C" {
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "catalog/pg_index.h"
#include "parser/parse_coerce.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
}

namespace safe_migrate::statement {

Oid key_operator(Oid opclass, Oid referenced_type, Oid referencing_type, Oid *right)
{
	Oid family;
	Oid input;
	*right = InvalidOid;
	if (!get_opclass_opfamily_and_input_type(opclass, &family, &input))
		return InvalidOid;
	Oid base = getBaseType(referencing_type);
	Oid equal = get_opfamily_member(family, input, base, BTEqualStrategyNumber);
	*right = base;
	if (OidIsValid(equal) &&
		OidIsValid(get_opfamily_member(family, base, base, BTEqualStrategyNumber)))
		return equal;
	Oid given[2] = {referenced_type, referencing_type};
	Oid wanted[2] = {input, input};
	*right = input;
	return can_coerce_type(2, given, wanted, COERCION_IMPLICIT)
			   ? get_opfamily_member(family, input, input, BTEqualStrategyNumber)
			   : InvalidOid;
}

Oid opclass_of_key(Oid index, Oid relation, AttrNumber attnum)
{
	HeapTuple tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));
	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	auto *form = reinterpret_cast<Form_pg_index>(GETSTRUCT(tuple));
	bool is_null;
	const auto *opclasses = reinterpret_cast<const oidvector *>(
		DatumGetPointer(SysCacheGetAttr(INDEXRELID, tuple, Anum_pg_index_indclass, &is_null)));
	Oid opclass = InvalidOid;
	for (int i = 0; i < form->indnkeyatts; i++) {
		if (form->indkey.values[i] == attnum)
			opclass = opclasses->values[i];
	}
	ReleaseSysCache(tuple);
	return opclass;
}

} // namespace safe_migrate::statement
