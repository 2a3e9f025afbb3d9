CREATE TABLE users (
    name TEXT PRIMARY KEY,
    role TEXT NOT NULL,
    password TEXT NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT;
CREATE TABLE sessions (
    digest TEXT PRIMARY KEY,
    user TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    begun_at INTEGER NOT NULL,
    used_at INTEGER NOT NULL
) STRICT;
CREATE TABLE tokens (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    digest TEXT NOT NULL,
    role TEXT NOT NULL,
    hosts TEXT,
    made_at INTEGER NOT NULL,
    expires_at INTEGER,
    used_at INTEGER
) STRICT;
CREATE TABLE audit (
    number INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    address TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    outcome TEXT NOT NULL,
    digest TEXT NOT NULL
) STRICT;
CREATE TABLE audit_end (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    number INTEGER NOT NULL,
    digest TEXT NOT NULL
) STRICT;
CREATE TABLE looks (
    config TEXT NOT NULL,
    verb TEXT NOT NULL,
    at INTEGER NOT NULL,
    exit_code INTEGER NOT NULL,
    answer TEXT NOT NULL,
    PRIMARY KEY (config, verb)
) STRICT;
CREATE TABLE archives (
    id TEXT PRIMARY KEY,
    config TEXT NOT NULL,
    name TEXT NOT NULL,
    prefix TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX archives_by_time ON archives (created_at DESC, id);
CREATE INDEX archives_by_prefix ON archives (prefix, created_at DESC, id);
CREATE TABLE copies (
    archive TEXT NOT NULL REFERENCES archives (id) ON DELETE CASCADE,
    destination TEXT NOT NULL,
    location TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    modified_at INTEGER,
    mark TEXT,
    standing TEXT NOT NULL,
    is_sealed INTEGER NOT NULL,
    PRIMARY KEY (archive, destination)
) STRICT;
CREATE TABLE runs (
    id TEXT PRIMARY KEY,
    config TEXT NOT NULL,
    verb TEXT NOT NULL,
    target TEXT NOT NULL,
    actor TEXT NOT NULL,
    begun_at INTEGER NOT NULL,
    ended_at INTEGER,
    exit_code INTEGER,
    cancelled_by TEXT,
    job_run TEXT,
    archive TEXT,
    message TEXT,
    answer TEXT,
    log TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX runs_by_time ON runs (begun_at DESC, id);
CREATE TABLE keys (
    actor TEXT NOT NULL,
    key TEXT NOT NULL,
    digest TEXT NOT NULL,
    run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    at INTEGER NOT NULL,
    PRIMARY KEY (actor, key)
) STRICT;
CREATE TABLE plans (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    config TEXT NOT NULL,
    archive TEXT,
    name TEXT,
    prefix TEXT,
    location TEXT,
    host TEXT NOT NULL,
    entries TEXT NOT NULL,
    digest TEXT NOT NULL,
    report TEXT NOT NULL,
    actor TEXT NOT NULL,
    made_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX plans_by_time ON plans (made_at DESC, id);
CREATE TABLE applies (
    plan TEXT PRIMARY KEY REFERENCES plans (id) ON DELETE CASCADE,
    actor TEXT NOT NULL,
    at INTEGER NOT NULL,
    run TEXT UNIQUE
) STRICT;
CREATE TABLE policies (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    description TEXT NOT NULL,
    is_default INTEGER NOT NULL,
    contents TEXT NOT NULL,
    generation INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX policies_by_default ON policies (is_default) WHERE is_default = 1;
INSERT INTO policies (id, name, description, is_default, contents, generation) VALUES (
    'default', 'Default', 'Every day at two o''clock; 7 days, 4 weeks and 6 months are kept.', 1,
    '{"schedule":"02:00","keep_daily":7,"keep_weekly":4,"keep_monthly":6}', 1
);
CREATE TABLE assignments (
    config TEXT PRIMARY KEY,
    policy TEXT REFERENCES policies (id),
    overrides TEXT NOT NULL
) STRICT;
