// A bare node: the contracts arrive compiled, so no compiler is ever fetched. Same rules as foundry.toml's evm_version.
module.exports = {
  networks: { hardhat: { chainId: 31337, hardfork: "prague" } },
};
