import { Call } from "./call.js";
import type { ServerNode } from "./serverNode.js";
import type { ClerkEnvironment } from "./environment.js";
import { Session, sessionIdBytes } from "./session.js";

/** What the sessions need of the dispatcher. */
export interface SessionOwner {
  /** Sends an OpenSession until it is settled; after `expiries` sessions were lost in a row. */
  open(call: Call, expiries: number): void;
  /** Writes may be able to start now. */
  opened(): void;
  /** No node will open one. */
  refused(error: Error): void;
}

const noBytes = new Uint8Array(0);

/**
 * Where writes get their ids: a session that is opened when the first write needs it, or the one
 * lane that revision 1 knows, for as long as any node of the cluster is seen to speak it, or to
 * share its log with one that does.
 */
export class WriteSessions {
  private readonly nodes: readonly ServerNode[];
  private readonly environment: ClerkEnvironment;
  private readonly owner: SessionOwner;
  private session: Session | null = null;
  private revision1: Session | null = null;
  private openingCall: Call | null = null;
  /** Sessions that expired since a write last succeeded. */
  private expiries = 0;

  constructor(nodes: readonly ServerNode[], environment: ClerkEnvironment, owner: SessionOwner) {
    this.nodes = nodes;
    this.environment = environment;
    this.owner = owner;
  }

  /** The OpenSession under way. */
  get opening(): Call | null {
    return this.openingCall;
  }

  /** Where the next write gets its id; null while none may start. */
  withRoom(): Session | null {
    const session = this.current();
    return session?.hasRoom === true ? session : null;
  }

  succeeded(): void {
    this.expiries = 0;
  }

  /** The cluster does not know `session` any more. Its other writes each learn it themselves. */
  expired(session: Session): void {
    if (session === this.revision1) this.revision1 = null;
    if (session !== this.session) return;
    this.session = null;
    this.expiries++;
  }

  private current(): Session | null {
    if (this.knowNoSessions()) return (this.revision1 ??= Session.ofRevision1());
    if (this.session === null && this.openingCall === null) this.open();
    return this.session;
  }

  private knowNoSessions(): boolean {
    for (const node of this.nodes) if (node.revision === 1 || node.refusesSessions) return true;
    return false;
  }

  /** A fresh client id each time: no copy of an old session's write can reach the new one. */
  private open(): void {
    const call = new Call(
      "open session",
      this.environment.randomBytes(sessionIdBytes),
      noBytes,
      Infinity,
      {
        resolve: () => {
          this.openingCall = null;
          this.session = Session.opened(call.key);
          this.owner.opened();
        },
        reject: (error) => {
          this.openingCall = null;
          this.owner.refused(error);
        },
      },
    );
    this.openingCall = call;
    this.owner.open(call, this.expiries);
  }

  /** The OpenSession was dropped: nobody waits for it. */
  dropped(): void {
    this.openingCall = null;
  }
}
