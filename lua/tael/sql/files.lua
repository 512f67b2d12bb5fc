--- The files of the store, in order: Lua has no directory listing, and a file that is not named here is not
--- part of the program.
return {
    statements = { "payments.sql", "amendments.sql", "refunds.sql", "notifications.sql", "registry.sql",
        "scripts.sql", "script_state.sql", "counters.sql" },
    migrations = { "0001_first.sql", "0002_life.sql", "0003_scripts.sql",
        "0004_jobs.sql", "0005_script_state.sql", "0006_counters.sql", "0007_kept.sql",
        "0008_operator_scripts.sql", "0009_closed.sql", "0010_script_room.sql" },
}
