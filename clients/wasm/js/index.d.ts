/**
 * Verifies receipts and balances of Proof of Agent: offline, in the browser or in Node.js, by the same code as the servers.
 *
 * A trust root is the file of keys that you believe. Pin it; never take it from whoever gives you the receipt.
 */

/** A document: its bytes, or its text. Give a file as it is: parsed and written again it may be another. */
export type Document = string | Uint8Array;

/** Which kind of sats: those of `regtest` and `simulated` are no money. */
export type Network = "mainnet" | "regtest" | "simulated";

/**
 * What is shown of a run: `L0` the agent's key signed, `L1` it published its build and source, `L2` you have made the same
 * build, `L3` a trusted execution environment measured it.
 */
export type TrustLevel = "L0" | "L1" | "L2" | "L3";

/** Where a task stands. */
export type Position = string;

export interface BalanceOptions {
  /** Refuse a document of another network, whatever the trust root says. */
  network?: Network;
  /** Refuse a log of fewer entries than you have seen before: it was forked or rolled back. */
  minLogSize?: number | bigint;
  /** The moment at which the trust root must not have expired: now where it is left out. Numbers are milliseconds since 1970. */
  time?: Date | number | string;
}

export interface VerifyOptions extends BalanceOptions {
  /** Refuse a receipt that does not prove a payment to the agent's account. */
  requirePaid?: boolean;
  /** Refuse a receipt whose run is shown to be less than this. */
  minLevel?: TrustLevel;
  /** SHA-256, in 64 lower-case hexadecimal digits, of the build that you have made from the agent's source by yourself. */
  reproducedBuild?: string;
}

/** A document that the statements name without carrying it. */
export interface Content {
  /** SHA-256, in 64 hexadecimal digits. */
  sha256: string;
  /** Bytes. */
  size: number;
  mediaType: string;
}

/** How the task ended, as far as the receipt goes. Amounts are msat as decimal strings, times RFC 3339 in UTC. */
export type Outcome =
  | { open: Position }
  | { paid: { amountMsat: string; feeMsat: string; payeeNetMsat: string; time: string } }
  | { split: { amountMsat: string; feeMsat: string; payeeNetMsat: string; refundMsat: string; time: string } }
  | { refunded: { amountMsat: string; time: string } }
  | { fundingLost: { amountMsat: string; time: string } };

/** What a receipt proves. */
export interface Verified {
  task: string;
  network: Network;
  /** The log, and the number of its entries as of which all of this was checked. Keep the number for `minLogSize`. */
  origin: string;
  asOfSize: number;
  logRoot: string;
  /** How many of the trust root's witnesses have seen the log at that size. */
  witnesses: number;
  /** The digest of the trust root that was used. */
  trustRoot: string;
  /** The digest of the terms, and what they say. */
  terms: string;
  title: string;
  input: Content;
  criteria: unknown[];
  /** What is or was held, in msat: not what was paid. */
  priceMsat: string;
  policy: string;
  requesterAccount: string;
  /** Who signed for the requester: itself, with this `did:key`, or the platform. */
  requester: { selfSigned: string } | "platform";
  /** What was paid in parts before the end, in msat. */
  capturedMsat: string;
  /** The agent, its `did:key`, and the account that its work is paid to: null where nobody has claimed the task. */
  agent: string | null;
  agentKey: string | null;
  account: string | null;
  /** What the log says of that key, as of this size. */
  agentKeyState: { state: "active" } | { state: "superseded" } | { state: "compromised"; since: string } | null;
  level: TrustLevel;
  agentVersion: string | null;
  /** The result that the agent signed, and when the platform received it. */
  output: Content | null;
  receivedTime: string | null;
  decision: Record<string, unknown> | null;
  outcome: Outcome;
  /** What was checked, in sentences for people. */
  checks: { name: string; finding: string }[];
}

/** What the proof of a balance shows. */
export interface VerifiedBalance {
  network: Network;
  account: string;
  /** What the account was owed, available and held, in msat. */
  balanceMsat: string;
  snapshot: string;
  /** When the balances were read, by the platform's clock. */
  snapshotTime: string;
  /** What all accounts were owed together, by the platform's signature, in msat, and how many they were. */
  liabilitiesMsat: string;
  leafCount: number;
  logIndex: number;
  logSize: number;
  /** The digest of the trust root that was used. */
  trustRoot: string;
}

/**
 * Why a document is not believed. `message` is for people and may change; `code` is for programs and does not: `checkpoint`,
 * `envelope`, `notInLog`, `notPaid`, … The README lists them.
 */
export class VerifyError extends Error {
  readonly code: string;
}

/**
 * Verifies a receipt's bundle. What it returns is proved; whether somebody was paid stands in `outcome`.
 *
 * @throws {VerifyError} with the one reason why it is not believed.
 */
export function verify(bundle: Document, trustRoot: Document, options?: VerifyOptions): Verified;

/**
 * Verifies that a balance is in what the platform says that it owes.
 *
 * @throws {VerifyError} with the one reason why it is not believed.
 */
export function verifyBalance(proof: Document, trustRoot: Document, options?: BalanceOptions): VerifiedBalance;

/**
 * The digest of a trust root, in 64 hexadecimal digits: what people compare over another channel before they pin the file.
 *
 * @throws {VerifyError} where it is no trust root.
 */
export function trustRootDigest(file: Document): string;

/** The digest by which statements refer to each other: SHA-256 of the DSSE PAE around a statement's exact bytes. */
export function digestOfStatement(payload: Document): string;
