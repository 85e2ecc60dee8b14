import { describe, expect, test, vi } from "vitest";
import {
  MprpcController,
  RpcError,
  RpcStatus,
  statusFromNumber,
  statusName,
} from "../../rpc/index.js";

describe("RpcStatus", () => {
  test("gRPC's numbers and names", () => {
    expect(Object.entries(RpcStatus).map(([name, number]) => `${number} ${name}`)).toEqual([
      "0 OK",
      "1 CANCELLED",
      "2 UNKNOWN",
      "3 INVALID_ARGUMENT",
      "4 DEADLINE_EXCEEDED",
      "5 NOT_FOUND",
      "6 ALREADY_EXISTS",
      "7 PERMISSION_DENIED",
      "8 RESOURCE_EXHAUSTED",
      "9 FAILED_PRECONDITION",
      "10 ABORTED",
      "11 OUT_OF_RANGE",
      "12 UNIMPLEMENTED",
      "13 INTERNAL",
      "14 UNAVAILABLE",
      "15 DATA_LOSS",
      "16 UNAUTHENTICATED",
    ]);
  });

  test("a number from the wire that nobody defined is UNKNOWN", () => {
    expect(statusFromNumber(14)).toBe(RpcStatus.UNAVAILABLE);
    expect(statusFromNumber(17)).toBe(RpcStatus.UNKNOWN);
    expect(statusFromNumber(2 ** 32 - 1)).toBe(RpcStatus.UNKNOWN);
    expect(statusName(RpcStatus.DATA_LOSS)).toBe("DATA_LOSS");
  });
});

describe("MprpcController", () => {
  test("fails with a status, a text and the error behind it", () => {
    const controller = new MprpcController();
    expect([controller.failed(), controller.errorText()]).toEqual([false, ""]);
    const cause = new Error("the disk is gone");
    controller.setFailed("can't write", RpcStatus.DATA_LOSS, cause);
    expect(controller.failed()).toBe(true);
    expect(controller.error()).toMatchObject({
      name: "RpcError",
      code: "DATA_LOSS",
      message: "can't write",
      cause,
    });
  });

  test("a failure without status is UNKNOWN, and can't be OK; one without text has a name", () => {
    const controller = new MprpcController();
    controller.setFailed("what the original's setFailed is given");
    expect(controller.status).toBe(RpcStatus.UNKNOWN);
    controller.setFailed("", RpcStatus.OK);
    expect([controller.status, controller.errorText()]).toEqual([RpcStatus.UNKNOWN, "UNKNOWN"]);
  });

  test("what a handler threw: its status if it has one, else INTERNAL and no word more", () => {
    const controller = new MprpcController();
    controller.setThrown(new RpcError(RpcStatus.NOT_FOUND, "not here"));
    expect([controller.status, controller.errorText()]).toEqual([RpcStatus.NOT_FOUND, "not here"]);
    controller.setThrown(new Error("password is hunter2"));
    expect(controller.status).toBe(RpcStatus.INTERNAL);
    expect(controller.errorText()).not.toContain("hunter2");
    expect(String(controller.cause)).toContain("hunter2");
  });

  test("a cancel is told once to each who asked, also to those who ask later", () => {
    const controller = new MprpcController();
    const early = vi.fn<() => void>();
    const late = vi.fn<() => void>();
    controller.notifyOnCancel(early);
    expect(controller.isCanceled()).toBe(false);
    controller.startCancel();
    controller.startCancel();
    expect(controller.isCanceled()).toBe(true);
    expect(early).toHaveBeenCalledTimes(1);
    controller.notifyOnCancel(late);
    expect(late).toHaveBeenCalledTimes(1);
  });

  test("one listener that throws does not keep the others from hearing", () => {
    const controller = new MprpcController();
    const other = vi.fn<() => void>();
    controller.notifyOnCancel(() => {
      throw new Error("broken");
    });
    controller.notifyOnCancel(other);
    expect(() => controller.startCancel()).toThrow("broken");
    expect(other).toHaveBeenCalledTimes(1);
  });

  test("its signal is aborted with the call, also for who asks later, and says why", () => {
    const early = new MprpcController();
    const { abortSignal } = early;
    expect(abortSignal.aborted).toBe(false);
    expect(early.abortSignal).toBe(abortSignal);
    early.startCancel();
    expect(abortSignal.reason).toMatchObject({ name: "RpcError", code: "CANCELLED" });
    const late = new MprpcController();
    late.setFailed("too late", RpcStatus.DEADLINE_EXCEEDED);
    late.startCancel();
    expect(late.abortSignal.aborted).toBe(true);
    expect(late.abortSignal.reason).toBe(late.error());
    late.reset();
    expect(late.abortSignal.aborted).toBe(false);
  });

  test("one failure is one error, until it is another or forgotten", () => {
    const controller = new MprpcController();
    controller.setFailed("first", RpcStatus.ABORTED, new Error("why"), [
      { type: "a.B", value: new Uint8Array(1) },
    ]);
    const first = controller.error();
    expect(first).toMatchObject({ details: [{ type: "a.B" }], cause: { message: "why" } });
    controller.setThrown(first);
    expect(controller.error()).toBe(first);
    controller.setFailed("second", RpcStatus.ABORTED);
    expect(controller.error()).toMatchObject({ message: "second", details: [] });
    controller.notSent = true;
    controller.clearFailure();
    expect([controller.failed(), controller.status, controller.errorText()]).toEqual([
      false,
      RpcStatus.OK,
      "",
    ]);
    expect(controller.notSent).toBe(false);
  });

  test("reset makes it as good as new", () => {
    const controller = new MprpcController({ timeoutMs: 5, signal: AbortSignal.abort() });
    controller.setFailed("failed", RpcStatus.ABORTED, new Error("why"));
    controller.notSent = true;
    controller.startCancel();
    controller.reset();
    expect(controller).toEqual(new MprpcController());
    expect([controller.failed(), controller.isCanceled(), controller.cause]).toEqual([
      false,
      false,
      undefined,
    ]);
  });

  test("without a deadline the caller waits for ever", () => {
    const controller = new MprpcController();
    expect(controller.remainingMs()).toBe(Infinity);
    controller.deadline = performance.now() - 1;
    expect(controller.remainingMs()).toBe(0);
  });
});
