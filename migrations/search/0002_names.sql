-- Suggest, names with typing errors: the letters of an agent are those of its capabilities and description too.
CREATE INDEX agents_names ON agents USING gin (lower(name) gin_trgm_ops) WHERE active;
