-- Evidence of trusted execution, beside the submissions that name it by its digest.

-- What was verified when it was handed in. The receipt carries it as it came.
CREATE TABLE tee_evidence (
    task_id uuid NOT NULL,
    -- SHA-256 of the file: the submission's teeEvidenceDigest.
    digest bytea NOT NULL,
    evidence bytea NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT tee_evidence_pkey PRIMARY KEY (task_id, digest)
);
