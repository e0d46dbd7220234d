// Cutting, storing and counting slices: see slices.hpp.
#include "operations/backfill/slices.hpp"

#include "operations/backfill/slice_runner.hpp"
#include "pg/compat.hpp"
#include "pg/session_relations.hpp"
#include "pg/sql.hpp"

extern "C" {
#include "access/genam.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "storage/bufmgr.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
}

namespace safe_migrate::operations::backfill {

using pg::Arg;

namespace {

constexpr int64 smallest_slice = 2048;	// blocks: 16 MB
constexpr int64 largest_slice = 131072; // 1 GB
constexpr int slices_a_worker = 8;		// so that workers end at about the same time
constexpr int most_slices = 4000;

struct LeafFile {
	bool exists;
	Oid relfilenumber;
	BlockNumber blocks;
};

LeafFile look_at_leaf(Oid leaf)
{
	Relation rel = try_relation_open(leaf, AccessShareLock);
	if (!rel)
		return {};
	LeafFile file = {true, pg::relfilenumber_of(rel), RelationGetNumberOfBlocks(rel)};
	relation_close(rel, AccessShareLock);
	return file;
}

int64 slice_size(int64 blocks, int workers)
{
	int64 size = blocks / (static_cast<int64>(workers) * slices_a_worker);
	size = Max(size, blocks / most_slices + 1);
	return Min(Max(size, smallest_slice), Max(largest_slice, blocks / most_slices + 1));
}

// The next transaction when the first slices of the step were cut, as those tell that are there.
int64 begun_of(jobs::JobId job, int step_no)
{
	int64 begun = 0;
	const Arg args[] = {pg::arg_int8(job), pg::arg_int4(step_no)};
	pg::query("SELECT coalesce(min(begun), 0) FROM safe_migrate.slice"
			  " WHERE job_id = $1 AND step_no = $2",
			  args, 2, [&begun](HeapTuple t, TupleDesc d) { begun = pg::column_int8(t, d, 1); });
	return begun != 0 ? begun
					  : static_cast<int64>(U64FromFullTransactionId(ReadNextFullTransactionId()));
}

int insert_leaf(jobs::JobId job, int step_no, int pass, Oid leaf, const LeafFile &file, int64 size,
				int next_no, int64 begun)
{
	for (int64 first = 0; first < file.blocks; first += size) {
		const Arg args[] = {
			pg::arg_int8(job),	   pg::arg_int4(step_no),
			pg::arg_int4(next_no), pg::arg_int4(pass),
			pg::arg_oid(leaf),	   pg::arg_oid(file.relfilenumber),
			pg::arg_int8(first),   pg::arg_int8(Min(first + size, static_cast<int64>(file.blocks))),
			pg::arg_int8(begun)};
		pg::execute("INSERT INTO safe_migrate.slice (job_id, step_no, slice_no, pass, relation,"
					" relfilenumber, first_block, end_block, cursor_block, begun)"
					" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $7, $9)",
					args);
		next_no++;
	}
	return next_no;
}

// Serialises those who cut slices of the same step, and tells the pass.
int lock_step(jobs::JobId job, int step_no)
{
	int pass = 0;
	const Arg args[] = {pg::arg_int8(job), pg::arg_int4(step_no)};
	pg::query("SELECT pass FROM safe_migrate.step WHERE job_id = $1 AND step_no = $2 FOR UPDATE",
			  args, 2, [&pass](HeapTuple t, TupleDesc d) { pass = pg::column_int4(t, d, 1); });
	return pass;
}

} // namespace

Leaves find_leaves(Oid relation)
{
	Relation root = try_relation_open(relation, AccessShareLock);
	if (!root)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("the job's table does not exist any more")));
	relation_close(root, NoLock);
	List *all = find_all_inheritors(relation, AccessShareLock, nullptr);
	Size size = sizeof(Oid) * Max(list_length(all), 1);
	Leaves leaves = {0, static_cast<Oid *>(palloc(size)), static_cast<Oid *>(palloc(size))};
	ListCell *cell;
	foreach (cell, all) {
		char kind = get_rel_relkind(lfirst_oid(cell));
		if (pg::is_other_sessions_temp(lfirst_oid(cell)))
			continue;
		if (kind == RELKIND_RELATION) {
			leaves.oids[leaves.n] = lfirst_oid(cell);
			leaves.relfilenumbers[leaves.n++] = look_at_leaf(lfirst_oid(cell)).relfilenumber;
		} else if (kind != RELKIND_PARTITIONED_TABLE)
			ereport(ERROR,
					(errcode(ERRCODE_WRONG_OBJECT_TYPE),
					 errmsg("\"%s\" is not a table", get_rel_name(lfirst_oid(cell))),
					 errdetail("It became part of the job's table after the job was queued.")));
	}
	return leaves;
}

Oid file_of(const Leaves &leaves, Oid leaf)
{
	for (int i = 0; i < leaves.n; i++)
		if (leaves.oids[i] == leaf)
			return leaves.relfilenumbers[i];
	return InvalidOid;
}

namespace {

bool has_ancestor(Relation inherits, Oid leaf, Oid relation)
{
	if (leaf == relation)
		return true;
	ScanKeyData key;
	ScanKeyInit(&key, Anum_pg_inherits_inhrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(leaf));
	SysScanDesc scan =
		systable_beginscan(inherits, InheritsRelidSeqnoIndexId, true, nullptr, 1, &key);
	bool found = false;
	HeapTuple tuple;
	while (!found && HeapTupleIsValid(tuple = systable_getnext(scan))) {
		auto *link = reinterpret_cast<Form_pg_inherits>(GETSTRUCT(tuple));
		found = !link->inhdetachpending && has_ancestor(inherits, link->inhparent, relation);
	}
	systable_endscan(scan);
	return found;
}

} // namespace

bool is_part_of(Oid leaf, Oid relation)
{
	if (leaf == relation)
		return true;
	Relation inherits = table_open(InheritsRelationId, AccessShareLock);
	bool found = has_ancestor(inherits, leaf, relation);
	table_close(inherits, AccessShareLock);
	return found;
}

void cut_slices(jobs::JobId job, int step_no, int pass, const Leaves &leaves, int workers)
{
	(void)lock_step(job, step_no);
	const int64 begun = begun_of(job, step_no);
	const Arg step_args[] = {pg::arg_int8(job), pg::arg_int4(step_no), pg::arg_int4(pass)};
	pg::execute("UPDATE safe_migrate.step SET pass = $3, rows_written = rows_written +"
				" coalesce((SELECT sum(rows_written) FROM safe_migrate.slice"
				"   WHERE job_id = $1 AND step_no = $2), 0)"
				" WHERE job_id = $1 AND step_no = $2",
				step_args);
	pg::execute("DELETE FROM safe_migrate.slice WHERE job_id = $1 AND step_no = $2", step_args, 2);

	auto *files = static_cast<LeafFile *>(palloc(sizeof(LeafFile) * Max(leaves.n, 1)));
	int64 blocks = 0;
	for (int i = 0; i < leaves.n; i++) {
		files[i] = look_at_leaf(leaves.oids[i]);
		blocks += files[i].blocks;
	}
	int64 size = slice_size(blocks, workers);
	int next_no = 1;
	for (int i = 0; i < leaves.n; i++)
		if (files[i].exists)
			next_no =
				insert_leaf(job, step_no, pass, leaves.oids[i], files[i], size, next_no, begun);
}

void cut_leaf_again(jobs::JobId job, int step_no, Oid leaf, int workers)
{
	int pass = lock_step(job, step_no);
	const int64 begun = begun_of(job, step_no);
	LeafFile file = look_at_leaf(leaf);
	const Arg args[] = {pg::arg_int8(job), pg::arg_int4(step_no), pg::arg_oid(leaf),
						pg::arg_oid(file.relfilenumber)};
	// what was written to the old file stays counted
	pg::execute("UPDATE safe_migrate.step SET rows_written = rows_written +"
				" coalesce((SELECT sum(rows_written) FROM safe_migrate.slice WHERE job_id = $1"
				"   AND step_no = $2 AND relation = $3 AND relfilenumber <> $4), 0)"
				" WHERE job_id = $1 AND step_no = $2",
				args);
	uint64 stale = pg::execute("DELETE FROM safe_migrate.slice WHERE job_id = $1 AND step_no = $2"
							   " AND relation = $3 AND relfilenumber <> $4",
							   args);
	if (stale == 0 || !file.exists)
		return;
	int next_no = 1;
	pg::query("SELECT coalesce(max(slice_no), 0) + 1 FROM safe_migrate.slice"
			  " WHERE job_id = $1 AND step_no = $2",
			  args, 2,
			  [&next_no](HeapTuple t, TupleDesc d) { next_no = pg::column_int4(t, d, 1); });
	(void)insert_leaf(job, step_no, pass, leaf, file, slice_size(file.blocks, workers), next_no,
					  begun);
}

bool leave_out(jobs::JobId job, int step_no, Oid leaf)
{
	const Arg args[] = {pg::arg_int8(job), pg::arg_int4(step_no), pg::arg_oid(leaf)};
	return pg::execute("UPDATE safe_migrate.slice SET done = true, cursor_block = end_block,"
					   " relfilenumber = 0 WHERE job_id = $1 AND step_no = $2 AND relation = $3"
					   " AND NOT done",
					   args) > 0;
}

void forget_left_out(jobs::JobId job, int step_no, Leaves *leaves)
{
	const Arg args[] = {pg::arg_int8(job), pg::arg_int4(step_no)};
	pg::query("SELECT DISTINCT relation FROM safe_migrate.slice"
			  " WHERE job_id = $1 AND step_no = $2 AND relfilenumber = 0",
			  args, 2, [leaves](HeapTuple t, TupleDesc d) {
				  for (int i = 0; i < leaves->n; i++)
					  if (leaves->oids[i] == pg::column_oid(t, d, 1))
						  leaves->relfilenumbers[i] = InvalidOid;
			  });
}

namespace {

Slice read_slice(HeapTuple t, TupleDesc d)
{
	return {pg::column_int4(t, d, 1),
			pg::column_oid(t, d, 2),
			pg::column_oid(t, d, 3),
			static_cast<BlockNumber>(pg::column_int8(t, d, 4)),
			static_cast<BlockNumber>(pg::column_int8(t, d, 5)),
			static_cast<BlockNumber>(pg::column_int8(t, d, 6)),
			pg::column_int4(t, d, 7),
			FullTransactionIdFromU64(static_cast<uint64>(pg::column_int8(t, d, 8)))};
}

} // namespace

SliceList open_slices(jobs::JobId job, int step_no)
{
	auto *slices = static_cast<Slice *>(palloc(sizeof(Slice) * most_slices));
	SliceList list = {0, slices};
	const Arg args[] = {pg::arg_int8(job), pg::arg_int4(step_no)};
	pg::query("SELECT slice_no, relation, relfilenumber, first_block, end_block, cursor_block, "
			  "pass, begun"
			  " FROM safe_migrate.slice WHERE job_id = $1 AND step_no = $2 AND NOT done"
			  " ORDER BY slice_no LIMIT 4000",
			  args, 2,
			  [&list](HeapTuple t, TupleDesc d) { list.slices[list.n++] = read_slice(t, d); });
	return list;
}

bool reload_slice(jobs::JobId job, int step_no, Slice *slice)
{
	bool found = false;
	const Arg args[] = {pg::arg_int8(job), pg::arg_int4(step_no), pg::arg_int4(slice->slice_no)};
	pg::query("SELECT slice_no, relation, relfilenumber, first_block, end_block, cursor_block, "
			  "pass, begun"
			  " FROM safe_migrate.slice WHERE job_id = $1 AND step_no = $2 AND slice_no = $3"
			  " AND NOT done",
			  args, 3, [&](HeapTuple t, TupleDesc d) {
				  found = true;
				  *slice = read_slice(t, d);
			  });
	return found;
}

bool save_slice(jobs::JobId job, int step_no, const Slice &slice, BlockNumber cursor, bool done,
				const BatchTotals &added, const char *sample, TransactionId locked_by)
{
	const Arg args[] = {pg::arg_int8(job),
						pg::arg_int4(step_no),
						pg::arg_int4(slice.slice_no),
						pg::arg_int8(cursor),
						pg::arg_bool(done),
						pg::arg_int8(added.rows_matched),
						pg::arg_int8(added.rows_written),
						pg::arg_int8(added.rows_hot),
						pg::arg_int8(added.rows_locked),
						pg::arg_int8(added.rows_unmatched),
						pg::arg_int8(added.rows_kept),
						pg::arg_text(sample),
						pg::arg_int4(slice.pass),
						pg::arg_oid(slice.relation),
						pg::arg_oid(slice.relfilenumber),
						TransactionIdIsValid(locked_by) ? pg::arg_xid(locked_by)
														: pg::arg_null(XIDOID),
						pg::arg_int8(added.rows_old),
						pg::arg_int8(added.rows_again),
						pg::arg_int8(added.rows_thrice)};
	uint64 found = pg::execute(
		"UPDATE safe_migrate.slice SET cursor_block = greatest(cursor_block, $4), done = $5,"
		" rows_matched = rows_matched + $6, rows_written = rows_written + $7,"
		" rows_hot = rows_hot + $8, rows_locked = rows_locked + $9,"
		" rows_unmatched = rows_unmatched + $10, rows_kept = rows_kept + $11,"
		" rows_old = rows_old + $17, rows_again = rows_again + $18,"
		" rows_thrice = rows_thrice + $19, sample = coalesce($12, sample),"
		" locked_by = coalesce($16, locked_by)"
		" WHERE job_id = $1 AND step_no = $2 AND slice_no = $3 AND NOT done AND pass = $13"
		" AND relation = $14 AND relfilenumber = $15",
		args);
	return found > 0;
}

PassTotals pass_totals(jobs::JobId job, int step_no)
{
	PassTotals totals = {};
	const Arg args[] = {pg::arg_int8(job), pg::arg_int4(step_no)};
	pg::query("SELECT count(*) FILTER (WHERE NOT done)::int, sum(rows_written)::bigint,"
			  " sum(rows_old)::bigint, sum(rows_again)::bigint, sum(rows_thrice)::bigint,"
			  " sum(rows_locked)::bigint, sum(rows_unmatched)::bigint,"
			  " sum(rows_kept)::bigint,"
			  " sum(end_block - first_block)::bigint, sum(cursor_block - first_block)::bigint,"
			  " min(sample), (pg_catalog.array_agg(locked_by ORDER BY sample))[1],"
			  " coalesce(min(begun), 0)"
			  " FROM safe_migrate.slice WHERE job_id = $1 AND step_no = $2",
			  args, 2, [&totals](HeapTuple t, TupleDesc d) {
				  totals = {
					  pg::column_int4(t, d, 1),
					  pg::column_int8(t, d, 2),
					  pg::column_int8(t, d, 3),
					  pg::column_int8(t, d, 4),
					  pg::column_int8(t, d, 5),
					  pg::column_int8(t, d, 6),
					  pg::column_int8(t, d, 7),
					  pg::column_int8(t, d, 8),
					  pg::column_int8(t, d, 9),
					  pg::column_int8(t, d, 10),
					  pg::column_text(t, d, 11),
					  pg::column_oid(t, d, 12),
					  FullTransactionIdFromU64(static_cast<uint64>(pg::column_int8(t, d, 13)))};
			  });
	return totals;
}

} // namespace safe_migrate::operations::backfill
