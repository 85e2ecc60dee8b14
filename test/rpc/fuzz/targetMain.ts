/** The process of `ForkedTarget`. */
import { LocalTarget, type Order } from "./target.js";

const target = await LocalTarget.start();
process.on("disconnect", () => process.exit());
process.on("message", (order: Order) => {
  const answer = order === "state" ? target.state() : target.release();
  void answer.then((state) => process.send!(state ?? null));
});
process.send!(target.port);
