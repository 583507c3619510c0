/* Ends the installation in the portal's frame: until this call the portal delivers no events to us. */
BX24.init(function () {
  BX24.installFinish();
});
