/* Makes the tab as high as its content. */
BX24.init(function () {
  BX24.fitWindow();
});
