import { calmNetwork, type NetworkTuning } from "../network.js";

/** A network that loses a tenth of all messages and delays the others by up to 27 ms. */
export const unreliableNetwork: NetworkTuning = {
  ...calmNetwork,
  delayMsMin: 0,
  delayMsMax: 27,
  lossChance: 0.1,
  inOrder: false,
};

/** Besides, two of three messages are held up for up to 2.4 s. */
export const lateNetwork: NetworkTuning = {
  ...unreliableNetwork,
  slowChance: 0.67,
  slowMsMax: 2_400,
};
