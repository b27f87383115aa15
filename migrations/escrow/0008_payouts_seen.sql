-- A payment that the node was seen to have: that it does not know it later proves nothing but that it has forgotten.
ALTER TABLE withdrawals ADD COLUMN node_knew boolean NOT NULL DEFAULT false;
