grep -qx "Ravens remember faces." notes.txt && echo "The note is there."
