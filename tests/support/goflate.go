// Compresses every file of the folder IN with Go's compress/gzip, as `docker push` does, into
// OUT/go=LEVEL=NAME, one for each LEVEL.
//
//	go run goflate.go IN OUT LEVEL...
package main

import (
	"compress/gzip"
	"io"
	"log"
	"os"
	"path/filepath"
	"strconv"
)

func main() {
	files, err := os.ReadDir(os.Args[1])
	check(err)
	for _, file := range files {
		for _, arg := range os.Args[3:] {
			level, err := strconv.Atoi(arg)
			check(err)
			in, err := os.Open(filepath.Join(os.Args[1], file.Name()))
			check(err)
			out, err := os.Create(filepath.Join(os.Args[2], "go="+arg+"="+file.Name()))
			check(err)
			writer, err := gzip.NewWriterLevel(out, level)
			check(err)
			_, err = io.Copy(writer, in)
			check(err)
			check(writer.Close())
			check(out.Close())
			check(in.Close())
		}
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
