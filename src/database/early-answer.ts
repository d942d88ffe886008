/**
 * A condition that always holds, for a statement that is a transaction of its own: PostgreSQL answers before its commit is
 * on the disk, which spares the wait for it. No death of ours undoes the statement. Should PostgreSQL itself die within
 * half a second or so (three times its `wal_writer_delay`), it is undone with all that was answered early after it; what
 * was committed with the wait keeps everything before it. So this is for what comes again by itself and is then the same.
 */
export const answeredEarly = "set_config('synchronous_commit', 'off', true) IS NOT NULL";
