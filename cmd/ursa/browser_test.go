package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// browser is a real Chromium without a window, driven over its debugging pipe (the DevTools protocol: a JSON object and a NUL each way).
// Nothing here listens on a port, and the browser can resolve no name: what it would fetch from elsewhere fails, and is seen.
type browser struct {
	t     *testing.T
	to    *os.File
	said  string // file of what it says when it does not start
	mu    sync.Mutex
	last  int
	wait  map[int]chan message
	tabs  map[string]chan message // events of a session
	ended chan struct{}
}

// message is what the browser sends: an answer when ID is not 0, else an event.
type message struct {
	ID        int             `json:"id"`
	SessionID string          `json:"sessionId"`
	Method    string          `json:"method"`
	Params    json.RawMessage `json:"params"`
	Result    json.RawMessage `json:"result"`
	Error     *struct {
		Message string `json:"message"`
	} `json:"error"`
}

// patience is how long a browser may take over one step before a test gives it up: a machine may be very busy. Nothing is measured.
const patience = 4 * time.Minute

// chromium returns the path of a browser; a test without one is skipped, but not where everything must be tried.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome-stable", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	const why = "no Chromium on this machine: pages and pictures are not opened in a browser (Debian: apt-get install chromium)"
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
	return ""
}

// startBrowser starts one for the length of a test.
func startBrowser(t *testing.T) *browser {
	t.Helper()
	path := chromium(t)
	home, err := os.MkdirTemp("", "ursa-browser-") // not the test's own: the browser's helpers may outlive it for a moment and still write
	if err != nil {
		t.Fatal(err)
	}
	theirs, ours, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	from, answers, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{t: t, to: ours, said: filepath.Join(home, "said"), wait: map[int]chan message{}, tabs: map[string]chan message{}, ended: make(chan struct{})}
	said, err := os.Create(b.said)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--disable-extensions", "--disable-breakpad",
		"--host-resolver-rules=MAP * ~NOTFOUND", "--user-data-dir="+filepath.Join(home, "profile"), "--remote-debugging-pipe", "about:blank")
	cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME="+home, "XDG_CACHE_HOME="+home)
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = said, said, []*os.File{theirs, answers} // descriptors 3 and 4, as the protocol wants
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, _, _ = theirs.Close(), answers.Close(), said.Close()
	go b.read(from)
	t.Cleanup(func() {
		_ = ours.Close() // at which it ends by itself
		select {
		case <-b.ended:
		case <-time.After(10 * time.Second):
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = from.Close()
		for range 20 {
			if os.RemoveAll(home) == nil {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
	})
	return b
}

// read hands on what the browser sends, until it ends.
func (b *browser) read(from *os.File) {
	defer close(b.ended)
	r := bufio.NewReaderSize(from, 1<<20)
	for {
		line, err := r.ReadBytes(0)
		if err != nil {
			return
		}
		var m message
		if json.Unmarshal(line[:len(line)-1], &m) != nil {
			continue
		}
		b.mu.Lock()
		to := b.tabs[m.SessionID]
		if m.ID != 0 {
			to = b.wait[m.ID]
			delete(b.wait, m.ID)
		}
		b.mu.Unlock()
		if to == nil {
			continue
		}
		select {
		case to <- m:
		default: // a page that says more than the test has room for has failed anyway
		}
	}
}

// call sends a command and waits for its answer.
func (b *browser) call(session, method string, params, result any) {
	b.t.Helper()
	answer := make(chan message, 1)
	b.mu.Lock()
	b.last++
	id := b.last
	b.wait[id] = answer
	b.mu.Unlock()
	command := map[string]any{"id": id, "method": method, "params": params}
	if params == nil {
		delete(command, "params")
	}
	if session != "" {
		command["sessionId"] = session
	}
	line, err := json.Marshal(command)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.to.Write(append(line, 0)); err != nil {
		b.fail(method, err)
	}
	select {
	case m := <-answer:
		if m.Error != nil {
			b.fail(method, errors.New(m.Error.Message))
		}
		if result != nil {
			if err := json.Unmarshal(m.Result, result); err != nil {
				b.fail(method, err)
			}
		}
	case <-b.ended:
		b.fail(method, errors.New("the browser ended"))
	case <-time.After(patience):
		b.fail(method, errors.New("no answer"))
	}
}

func (b *browser) fail(method string, err error) {
	b.t.Helper()
	said, _ := os.ReadFile(b.said)
	b.t.Fatalf("browser: %s: %v\n%s", method, err, said[max(0, len(said)-2000):])
}

// tab is a page in a browser.
type tab struct {
	*browser
	target  string
	session string
	events  chan message
	at      string          // its address
	loaded  map[string]bool // what was loaded
	wrong   []string
}

// view is a window in which a page is looked at.
type view struct {
	width, height int
	dark          bool
}

// open loads a file and waits until it is loaded.
func (b *browser) open(path string, v view) *tab {
	b.t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		b.t.Fatal(err)
	}
	p := &tab{browser: b, events: make(chan message, 4096), loaded: map[string]bool{}, at: (&url.URL{Scheme: "file", Path: path}).String()}
	var target struct{ TargetID string }
	b.call("", "Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.call("", "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	p.target, p.session = target.TargetID, attached.SessionID
	b.mu.Lock()
	b.tabs[p.session] = p.events
	b.mu.Unlock()
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		p.do(domain+".enable", nil)
	}
	scheme := "light"
	if v.dark {
		scheme = "dark"
	}
	p.do("Emulation.setFocusEmulationEnabled", map[string]any{"enabled": true})
	p.do("Emulation.setDeviceMetricsOverride", map[string]any{"width": v.width, "height": v.height, "deviceScaleFactor": 1, "mobile": false})
	p.do("Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]string{"name": "prefers-color-scheme", "value": scheme}}})
	p.do("Page.setLifecycleEventsEnabled", map[string]any{"enabled": true})
	var loading struct{ LoaderID, ErrorText string }
	p.call(p.session, "Page.navigate", map[string]any{"url": p.at}, &loading)
	if loading.ErrorText != "" {
		b.fail("load", errors.New(loading.ErrorText))
	}
	for !p.loaded[loading.LoaderID] { // and not the empty page that was there before
		select {
		case m := <-p.events:
			p.hear(m)
		case <-b.ended:
			b.fail("load", errors.New("the browser ended"))
		case <-time.After(patience):
			b.fail("load", errors.New("the page was not loaded"))
		}
	}
	return p
}

// close lets the page go.
func (p *tab) close() {
	p.t.Helper()
	p.call("", "Target.closeTarget", map[string]any{"targetId": p.target}, nil)
	p.mu.Lock()
	delete(p.tabs, p.session)
	p.mu.Unlock()
}

func (p *tab) do(method string, params any) {
	p.t.Helper()
	p.call(p.session, method, params, nil)
}

// hear keeps what should not have happened: a request to anything but the page itself, an error on the console, a script that failed.
func (p *tab) hear(m message) {
	switch m.Method {
	case "Page.lifecycleEvent":
		var e struct{ LoaderID, Name string }
		if _ = json.Unmarshal(m.Params, &e); e.Name == "load" {
			p.loaded[e.LoaderID] = true
		}
	case "Network.requestWillBeSent":
		var e struct{ Request struct{ URL string } }
		_ = json.Unmarshal(m.Params, &e)
		if at, _, _ := strings.Cut(e.Request.URL, "#"); at != p.at {
			p.wrong = append(p.wrong, "asked for "+e.Request.URL)
		}
	case "Log.entryAdded":
		var e struct{ Entry struct{ Level, Text string } }
		_ = json.Unmarshal(m.Params, &e)
		if e.Entry.Level == "error" || e.Entry.Level == "warning" {
			p.wrong = append(p.wrong, e.Entry.Level+": "+e.Entry.Text)
		}
	case "Runtime.consoleAPICalled", "Runtime.exceptionThrown":
		p.wrong = append(p.wrong, m.Method+": "+string(m.Params))
	}
}

// faults returns what went wrong so far. Events come in order: all of those before the last answer are there.
func (p *tab) faults() []string {
	for {
		select {
		case m := <-p.events:
			p.hear(m)
		default:
			return p.wrong
		}
	}
}

// eval runs an expression in the page and reads what it gives.
func (p *tab) eval(expression string, into any) {
	p.t.Helper()
	var out struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct {
			Exception struct{ Description string }
		}
	}
	p.call(p.session, "Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true}, &out)
	if out.ExceptionDetails != nil {
		p.t.Fatalf("%s: %s", p.at, out.ExceptionDetails.Exception.Description)
	}
	if err := json.Unmarshal(out.Result.Value, into); err != nil {
		p.t.Fatalf("%s: %v in %s", p.at, err, out.Result.Value)
	}
}

// becomes waits until an expression is true, for half of the patience, and says whether it became so.
func (p *tab) becomes(expression string) (became bool) {
	p.t.Helper()
	p.eval(fmt.Sprintf(`(async () => { for (let i = 0; i < %d; i++) { if (%s) return true; await new Promise(r => setTimeout(r, 50)); } return false; })()`,
		patience/2/(50*time.Millisecond), expression), &became)
	return became
}

// click presses the mouse on the middle of the first element that a selector finds, as a hand would.
func (p *tab) click(selector string) {
	p.t.Helper()
	var at struct{ X, Y float64 }
	p.eval(fmt.Sprintf(`(() => { const e = document.querySelector(%q); e.scrollIntoView({block: "center", behavior: "instant"});
		const r = e.getBoundingClientRect(); return {x: r.left + Math.min(r.width, innerWidth) / 2, y: r.top + r.height / 2}; })()`, selector), &at)
	for _, kind := range []string{"mousePressed", "mouseReleased"} {
		p.do("Input.dispatchMouseEvent", map[string]any{"type": kind, "x": at.X, "y": at.Y, "button": "left", "clickCount": 1})
	}
}

// press strikes a key of the keyboard.
func (p *tab) press(key string, code int, text string) {
	p.t.Helper()
	p.do("Input.dispatchKeyEvent", map[string]any{"type": "keyDown", "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text})
	p.do("Input.dispatchKeyEvent", map[string]any{"type": "keyUp", "key": key, "code": key, "windowsVirtualKeyCode": code})
}
