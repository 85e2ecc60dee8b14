/**
 * Linearizability of key-value histories.
 *
 *     const recorder = new HistoryRecorder();
 *     const handle = recorder.begin({ client: "1", kind: "get", key });
 *     handle.ok(await clerk.get(key));            // or failed(), or unknown()
 *     assertLinearizable(recorder.operations(), { drawTo: "history.html" });
 */
export { assertLinearizable, checkHistory } from "./checker.js";
export type { AssertOptions, CheckOptions, Illegal, Legal, Undecided, Verdict } from "./checker.js";
export { drawHtml, drawVerdict } from "./drawing.js";
export { explain } from "./explain.js";
export { fromJsonLines, mergeHistories, toJsonLines } from "./jsonLines.js";
export { checkDefaults } from "./limits.js";
export type { CheckLimits } from "./limits.js";
export { HistoryError } from "./operation.js";
export type {
  GetOperation,
  HistoryErrorCode,
  Operation,
  Outcome,
  WriteOperation,
} from "./operation.js";
export { HistoryRecorder, machineMicros } from "./recorder.js";
export type { OperationCall, OperationHandle, RecorderOptions } from "./recorder.js";
