package result

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Open opens the journal of a run, or makes it. What an earlier run of the same experiment and build has finished is kept and returned;
// a line that it did not finish is cut off. The caller closes the file.
func Open(path string, h Header) (*Writer, *Journal, *os.File, error) {
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil, err
	}
	head, _, err := line(0, h)
	if err != nil {
		return nil, nil, nil, err
	}
	if len(text) < len(head) && string(text) == string(head[:len(text)]) { // killed before the header was written
		return create(path, h)
	}
	j, err := Decode(text)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := j.Header.resumes(&h); err != nil {
		return nil, nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return nil, nil, nil, err
	}
	if err := file.Truncate(int64(j.Size)); err != nil {
		file.Close()
		return nil, nil, nil, err
	}
	return Continue(file, j), j, file, nil
}

func create(path string, h Header) (*Writer, *Journal, *os.File, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o644)
	if err != nil {
		return nil, nil, nil, err
	}
	w, err := Begin(file, h)
	if err != nil {
		file.Close()
		return nil, nil, nil, err
	}
	return w, &Journal{Header: h, sum: w.sum}, file, nil
}

// resumes says why a run cannot go on with a journal.
func (h *Header) resumes(now *Header) error {
	switch {
	case h.Hash != now.Hash:
		return fmt.Errorf("%w: it holds experiment %s, the file says %s; name another folder", ErrOther, h.Hash, now.Hash)
	case h.Build != now.Build:
		return fmt.Errorf("%w: build %s made it, this is %s; finish it with that build or name another folder", ErrOther, h.Build, now.Build)
	case h.Shard != now.Shard || h.Of != now.Of:
		return fmt.Errorf("%w: it holds shard %d/%d, not %d/%d", ErrOther, h.Shard+1, h.Of, now.Shard+1, now.Of)
	case !h.same(now):
		return fmt.Errorf("%w: its description differs; name another folder", ErrOther)
	}
	return nil
}
