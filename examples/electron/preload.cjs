const { contextBridge, ipcRenderer } = require("electron");

contextBridge.exposeInMainWorld("guard", {
  check: (text) => ipcRenderer.invoke("check", text),
  changed: () => ipcRenderer.send("changed"),
  onState: (listener) => ipcRenderer.on("state", (_event, ...state) => listener(...state)),
});
