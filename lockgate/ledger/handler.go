package ledger

import (
	"net/http"
	"os"
	"path"
	"strings"
)

// Handler serves a log's directory to readers by the C2SP tlog-tiles schema:
// "checkpoint" and what is under "tile/". Nothing else of the directory is
// shown. Mount it below a prefix with http.StripPrefix.
func Handler(dir string) http.Handler {
	root := os.DirFS(dir)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(path.Clean("/"+r.URL.Path), "/")
		if !public(name) {
			http.NotFound(w, r)
			return
		}
		if name == "checkpoint" {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			w.Header().Set("Cache-Control", "no-store")
		} else {
			w.Header().Set("Content-Type", "application/octet-stream")
			w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		}
		http.ServeFileFS(w, r, root, name)
	})
}

// public says whether a clean path is one of the schema. The writer's own state
// lies in files whose names begin with a dot.
func public(name string) bool {
	return name == "checkpoint" || strings.HasPrefix(name, "tile/") && !strings.Contains(name, "/.")
}
