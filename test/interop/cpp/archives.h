#pragma once

/**
 * Reads archives of ops on stdin, a line of hex each. Prints for each what the real library reads in
 * it, and what it writes for that: operation,key,value,client id,request id,archive.
 */
void runArchives();
