// Node-RED without editor, HTTP or telemetry: nothing listens. The flow gets the broker's address
// from the environment, so that it is in no file.
module.exports = {
  credentialSecret: false,
  disableEditor: true,
  flowFile: "flows.json",
  httpAdminRoot: false,
  httpNodeRoot: false,
  telemetry: { enabled: false },
};
